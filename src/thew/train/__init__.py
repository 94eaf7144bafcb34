"""Training: `Trainer` and what surrounds it."""

from thew.train.precision import PRECISIONS, LossScaling
from thew.train.trainer import Trainer

__all__ = ["PRECISIONS", "LossScaling", "Trainer"]
