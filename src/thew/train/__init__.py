"""Training: `Trainer`, its callbacks, precisions and metrics."""

from thew.train.callbacks import Callback, CheckpointBest, CSVLogger, EarlyStopping, Progress, Reach, TensorBoard
from thew.train.history import History
from thew.train.metrics import METRICS
from thew.train.parallel import DataParallel
from thew.train.precision import PRECISIONS, LossScaling
from thew.train.trainer import Trainer

__all__ = [
    "METRICS",
    "PRECISIONS",
    "CSVLogger",
    "Callback",
    "CheckpointBest",
    "DataParallel",
    "EarlyStopping",
    "History",
    "LossScaling",
    "Progress",
    "Reach",
    "TensorBoard",
    "Trainer",
]
