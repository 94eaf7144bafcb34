"""Kills training runs at random moments, resumes each, and compares with a run that was left alone.

    python tests/fuzz/kills.py --count 200 --seed 1

Every run is a child of its own: batch norm, dropout, Adam, mixed precision, pictures augmented by native threads, a
checkpoint every other step. SIGKILL comes at any moment from its first line to its last, also while a checkpoint is
written. What is resumed from must be whole, and what is resumed must end as the run that was left alone: weights,
statistics, optimiser states, loss scale, counters, history, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import thew
from thew import data, nn, optim
from thew.data.images import Preparation
from thew.train import checkpoint

EPOCHS, BATCH, SAMPLES = 4, 16, 150
TIMED = ("seconds", "samples_per_second")
NAME = "run.ckpt"


class Net(nn.Module):
    """Something of everything that a checkpoint must carry."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.2)
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return self.head(self.drop(nn.functional.relu(self.norm(self.conv(x)))).flatten(1))


def train(folder: Path) -> None:
    """A run from its beginning, or from where its checkpoint stands, to its end."""
    path = folder / NAME
    if path.exists():
        trainer = thew.Trainer.resume(path)
    else:
        with nn.init.seeded(2):
            net = Net()
        schedule = optim.CosineAnnealing(EPOCHS * 10)
        trainer = thew.Trainer(
            net, optimizer=optim.Adam(lr=0.01, clip_norm=1.0), input_shape=(1, 8, 8), precision="mixed-fp16", seed=4,
            schedule=schedule,
        )  # fmt: skip
    source = np.random.default_rng(3)
    pictures, labels = source.integers(0, 256, (SAMPLES, 1, 8, 8)).astype(np.uint8), source.integers(0, 3, SAMPLES)
    images = data.Images(pictures, labels, Preparation((0.5,), (0.3,), (data.flip(), data.random_crop(1)), 7))
    if trainer.counters.epochs < EPOCHS:
        trainer.fit(images, EPOCHS, BATCH, images.head(40), checkpoint=path, checkpoint_every=2)


def end_of(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """All tensors of a run's checkpoint, and its counters and history but for times."""
    graph, states, description = checkpoint.read(folder / NAME)
    tensors = {name: array.tobytes() for name, array in {**graph.constants, **states}.items()}
    history = {name: column for name, column in description["history"].items() if name not in TIMED}
    return tensors, {"counters": description["counters"], "history": history}


def differing(one: Any, other: Any, where: str = "") -> str:
    """Where two ends differ; empty where they do not."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return " ".join(filter(None, (differing(one[key], other[key], f"{where}.{key}") for key in one)))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return " ".join(filter(None, map(differing, one, other)))
    return "" if one == other else where


def spawned(run: Callable[[], None]) -> int:
    """The process that does it. It is forked: what is imported once need not be again."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def finished(run: Callable[[], None]) -> bool:
    """Whether it ends well in a process of its own."""
    return os.waitpid(spawned(run), 0)[1] == 0


def killed(run: Callable[[], None], after_seconds: float) -> bool:
    """Kills it after so long; whether it was still running."""
    child = spawned(run)
    time.sleep(after_seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def trial(wanted: Any, seconds: float, rng: random.Random) -> str:
    """ "killed", "resumed" (killed with a checkpoint there) or "ended" (before the signal came); else what is wrong."""
    with tempfile.TemporaryDirectory(prefix="thew-kills-") as name:
        folder = Path(name)
        was_running = killed(lambda: train(folder), rng.uniform(0, seconds))
        had = (folder / NAME).exists()
        if not finished(lambda: train(folder)):
            return "failed to resume"
        if different := differing(end_of(folder), wanted):
            return f"ended otherwise than the run that was left alone: {different}"
        return ("resumed" if had else "killed") if was_running else "ended"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="runs to kill")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thew-kills-") as name:
        began = time.monotonic()
        if not finished(lambda: train(Path(name))):
            return 1
        seconds = time.monotonic() - began
        wanted = end_of(Path(name))
    counts: dict[str, int] = {}
    for index in range(arguments.count):
        found = trial(wanted, seconds, random.Random(f"{arguments.seed}/{index}"))
        kind = found.partition(":")[0]
        counts[kind] = counts.get(kind, 0) + 1
        if found not in ("killed", "resumed", "ended"):
            print(f"run {index} of seed {arguments.seed}: {found}", flush=True)
    whole = sum(counts.get(name, 0) for name in ("killed", "resumed", "ended"))
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"{arguments.count} runs of {seconds:.2f} s: {told}; {whole} ended bit for bit as one left alone")
    return 0 if whole == arguments.count else 1


if __name__ == "__main__":
    sys.exit(main())
