"""What `test_distributed.py` runs in one process and in several: trains the same networks on the same data.

    mpirun -n 2 python distributed_cases.py FOLDER CASE …

The first process writes FOLDER/CASE-RANKS.npz: parameters, statistics, optimiser states and history.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

import thew
from thew import nn, optim
from thew.train import Callback, DataParallel
from thew.train.parallel import launched_size

RANKS = launched_size()
TOGETHER = 64  # samples of a step over all processes


class Net(nn.Module):
    """Batch norms of 4 and 2 axes, a bias each of whose elements a sample's activations have."""

    def __init__(self, norm: bool = True, drop: float = 0.0) -> None:
        super().__init__()
        self.conv, self.again = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3, stride=2)
        self.norms = [nn.BatchNorm2d(4), nn.BatchNorm2d(8), nn.BatchNorm1d(5)] if norm else [nn.Identity()] * 3
        self.first, self.second, self.third = self.norms
        self.drop, self.hidden, self.head = nn.Dropout(drop), nn.Linear(32, 5), nn.Linear(5, 3)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        x = nn.functional.relu(self.first(self.conv(x)))
        x = nn.functional.relu(self.second(self.again(x)))
        return self.head(self.drop(nn.functional.relu(self.third(self.hidden(x.flatten(1))))))


class Normed(nn.Module):
    """A layer norm, whose gradient is no kernel: the step is several plans."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.LayerNorm(144), nn.Linear(144, 3)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return self.head(self.norm(nn.functional.relu(self.conv(x)).flatten(1)))


def data(count: int = 200) -> tuple[Any, Any]:
    """200 is three steps of 64 and eight left."""
    random = np.random.default_rng(5)
    y = random.integers(0, 3, count)
    return random.normal(size=(count, 1, 8, 8)) + y[:, None, None, None], y


def trainer(make: Any = Net, **how: Any) -> thew.Trainer:
    with nn.init.seeded(2):
        model = make()
    how.setdefault("precision", "fp64")
    how.setdefault("distributed", DataParallel(bucket_bytes=1000) if RANKS > 1 else False)
    how.setdefault("optimizer", optim.SGD(lr=0.05, momentum=0.9, clip_norm=1.0))
    return thew.Trainer(model, input_shape=(1, 8, 8), seed=4, **how)


def compressed(dtype: str) -> dict[str, Any]:
    return {"distributed": DataParallel(dtype) if RANKS > 1 else False}


CASES: dict[str, dict[str, Any]] = {
    "fp64": {},
    "one_bucket": {"distributed": RANKS > 1},
    "stages": {"make": Normed},
    "parts": {"make": lambda: Net(norm=False), "memory_budget_bytes": 60_000},
    "sum": {"loss": nn.CrossEntropyLoss(reduction="sum"), "optimizer": optim.SGD(lr=0.001)},
    "frozen": {"make": lambda: frozen()},
    "mixed-fp16": {"precision": "mixed-fp16", **compressed("fp16")},
    "fp16": {"precision": "fp32", **compressed("fp16")},
    "bf16": {"precision": "fp32", **compressed("bf16")},
}


def frozen() -> Net:
    net = Net()
    net.conv.freeze()
    return net


def run(name: str, folder: Path) -> None:
    found = trainer(**CASES[name])
    whole = name == "fp64"  # a last batch that is not full, and a validation; elsewhere shapes are few
    history = found.fit(data() if whole else data(128), 2, TOGETHER // RANKS, validation=data(30) if whole else None)
    states = {**found.model.state_dict(), **found._engine.states}
    if found.group.rank == 0:
        columns = {f"history.{key}": values for key, values in history.columns.items()}
        np.savez(folder / f"{name}-{RANKS}.npz", **states, **columns)


class Fail(Callback):
    """The second process fails after the third step."""

    def on_step_end(self, trainer: thew.Trainer, row: Any) -> None:
        if trainer.counters.steps == 3 and trainer.group.rank == 1:
            raise ValueError("no more data here")


class Stop(Callback):
    """The second process is asked to stop in the second step."""

    def on_step_end(self, trainer: thew.Trainer, row: Any) -> None:
        if trainer.counters.steps == 2 and trainer.group.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def stop(folder: Path) -> None:
    """Stops together, goes on together, and ends where an uninterrupted job ends."""
    path = folder / "stop.ckpt"
    first = trainer()
    first.fit(data(), 2, TOGETHER // RANKS, callbacks=[Stop()], checkpoint=path)
    assert (first.history.stopped, first.counters.steps) == ("SIGTERM", 2)
    first.group.gathered(None)  # until the file is written
    second = thew.Trainer.resume(path, distributed=DataParallel(bucket_bytes=1000))
    second.fit(data(), 2, TOGETHER // RANKS)
    whole = trainer()
    whole.fit(data(), 2, TOGETHER // RANKS)
    for name, array in whole.model.named_parameters():
        np.testing.assert_array_equal(second.model.state_dict()[name], array)
    assert second.history["loss"] == whole.history["loss"]


def draws(folder: Path) -> None:
    """Processes drop other activations, and stay in one state all the same."""
    found = trainer(lambda: Net(norm=False, drop=0.5))
    x, y = data(32)
    _, prediction = found.step_with_prediction(x, y)
    one, other = found.group.gathered(prediction)
    assert not np.array_equal(one, other)
    for array in found.model.state_dict().values():
        one, other = found.group.gathered(array)
        np.testing.assert_array_equal(one, other)


def fail(folder: Path) -> None:
    trainer().fit(data(), 2, TOGETHER // RANKS, callbacks=[Fail()], checkpoint=folder / "fail.ckpt")


OTHERS = {"stop": stop, "draws": draws, "fail": fail}

if __name__ == "__main__":
    for chosen in sys.argv[2:]:
        if chosen in OTHERS:
            OTHERS[chosen](Path(sys.argv[1]))
        else:
            run(chosen, Path(sys.argv[1]))
