"""Comparisons with peers: each contender in a process of its own, measured turn by turn.

A round gives every contender one turn, in an order that rotates. Between its turns a contender's process is stopped, so
that threads that spin while they wait (OpenMP's, ONNX Runtime's) cost the others nothing. What is quoted is the median
and the minimum of each, and the median over rounds of the ratio of two contenders in the same round: an absolute time
on a shared machine means little, a ratio taken in one run means much.
"""

from thew.bench.peers import PEERS
from thew.bench.rounds import Outcome, Settings, measure
from thew.bench.tasks import MatmulTask, ModelTask, OverheadTask, Task, TrainingTask

__all__ = ["PEERS", "MatmulTask", "ModelTask", "Outcome", "OverheadTask", "Settings", "Task", "TrainingTask", "measure"]
