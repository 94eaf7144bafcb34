"""A study of one model: throughput, latency and energy of Thew and its peers by threads and batch, and what each of
Thew's techniques brings.

Measured piece by piece, each piece a file in the study's folder; a study that was cut short goes on with the pieces
that are missing. The report and its plots are made of the files.
"""

from thew.bench.study.dqn import dqn_pieces, dqn_task, write_dqn_report
from thew.bench.study.learning import LearningStudy, runs_of, write_learning_report
from thew.bench.study.pieces import Ablation, Cell, Piece, pieces_of
from thew.bench.study.report import write_report
from thew.bench.study.returns import ReturnsStudy, agent_runs
from thew.bench.study.run import Study
from thew.bench.study.searches import SearchedNetwork, SearchStudy
from thew.bench.study.searches_report import write_search_report
from thew.bench.study.training import accuracies, training_pieces, training_task, write_training_report

__all__ = [
    "Ablation",
    "Cell",
    "LearningStudy",
    "Piece",
    "ReturnsStudy",
    "SearchStudy",
    "SearchedNetwork",
    "Study",
    "accuracies",
    "agent_runs",
    "dqn_pieces",
    "dqn_task",
    "pieces_of",
    "runs_of",
    "training_pieces",
    "training_task",
    "write_dqn_report",
    "write_learning_report",
    "write_report",
    "write_search_report",
    "write_training_report",
]
