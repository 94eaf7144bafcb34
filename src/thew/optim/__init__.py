"""Optimisers and schedules, with PyTorch's names.

An optimiser is a description: which update a training step ends with, and its numbers. The update itself is part of the
step's graph (`thew.ops.update`), and its states belong to the `Trainer`.

Example:
    >>> from thew import optim
    >>> optimizer = optim.SGD(lr=0.1, momentum=0.9, weight_decay=5e-4, clip_norm=1.0)
    >>> schedule = optim.Warmup(500, optim.CosineAnnealing(20_000))
"""

from thew.optim.methods import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop, optimizer_from
from thew.optim.optimizer import Optimizer
from thew.optim.schedules import (
    Constant,
    CosineAnnealing,
    Exponential,
    MultiStep,
    OneCycle,
    ReduceOnPlateau,
    Schedule,
    Step,
    Warmup,
    schedule_from,
)

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Constant",
    "CosineAnnealing",
    "Exponential",
    "MultiStep",
    "NAdam",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "Warmup",
    "optimizer_from",
    "schedule_from",
]
