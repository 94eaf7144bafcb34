"""Training that is cut off goes on to the same end; spoiled checkpoints are refused; threads change no bit.

`tests/fuzz/kills.py` and `tests/fuzz/checkpoints.py` do as many runs as one wants.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import thew
from thew import nn, optim

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"


def run(script: str, *arguments: str) -> None:
    command = [sys.executable, str(FUZZ / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def test_killed_runs_end_as_if_they_had_not_been() -> None:
    run("kills.py", "--count", "4", "--seed", "5")


def test_spoiled_checkpoints_are_refused() -> None:
    run("checkpoints.py", "--count", "60", "--seed", "5")


@pytest.mark.slow
def test_many_killed_runs_and_spoiled_checkpoints() -> None:
    run("kills.py", "--count", "200", "--seed", "1")
    run("checkpoints.py", "--count", "5000", "--seed", "1")


# Signals, from the command line


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Starts a training that would take minutes, and waits for its first checkpoint."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (256, 28, 28)).astype(np.uint8), random.integers(0, 10, 256)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:16], y_test=y[:16])
    saved = tmp_path / "a.ckpt"
    arguments = ("lenet5", "--data", "mnist", "--epochs", "5000", "--checkpoint", str(saved))
    environment = {**os.environ, "THEW_DATA": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "thew", "train", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not saved.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    yield process, saved
    process.kill()
    process.communicate()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_at_a_steps_end(command, kind):
    process, saved = command
    before = saved.stat().st_mtime_ns
    process.send_signal(kind)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1, error
    assert "Traceback" not in error
    assert saved.stat().st_mtime_ns > before
    resumed = thew.Trainer.resume(saved)
    steps = resumed.counters.steps
    assert steps == 4 * resumed.counters.epochs + resumed.counters.batches > 0
    assert resumed.counters.first_epoch == 0  # the fit is under way, and goes on
    x = np.zeros((64, 1, 28, 28), np.float32)
    resumed.step(x, np.zeros(64, int))
    assert resumed.counters.steps == steps + 1


@pytest.fixture
def heeded():
    """SIGINT as Python has it, also where the tests run in a background that ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_signal_ends_at_once(heeded):
    """The first asks; from then on the signal does what it would have done without `fit`."""
    with nn.init.seeded(0):
        trainer = thew.Trainer(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), input_shape=(4,))

    class Twice(thew.train.Callback):
        def on_step_end(self, trainer, row):
            signal.raise_signal(signal.SIGINT)  # to this thread: two to the process may arrive as one
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer.fit((np.zeros((8, 4)), np.zeros(8, int)), batch_size=4, callbacks=[Twice()])
    assert trainer.counters.steps == 1


# Threads


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.widen, self.norm = nn.Conv2d(3, 24, 1, bias=False), nn.BatchNorm2d(24)
        self.each, self.again = nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False), nn.BatchNorm2d(24)
        self.narrow, self.head = nn.Conv2d(24, 8, 1), nn.Linear(8, 10)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        x = nn.functional.relu6(self.norm(self.widen(x)))
        x = nn.functional.relu6(self.again(self.each(x)))
        return self.head(self.narrow(x).mean((2, 3)))


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16)
        self.second, self.again = nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(32 * 13 * 13, 10)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        x = nn.functional.relu(self.norm(self.first(x)))
        return self.head(self.drop(nn.functional.relu(self.again(self.second(x))).flatten(1)))


NETS = {"lenet5": (lambda: thew.models.lenet5(seed=1), (1, 28, 28)), "norm": (Normed, (3, 32, 32))}
NETS["depthwise"] = (Depthwise, (3, 20, 20))


@pytest.mark.parametrize("precision", ["fp32", "mixed-fp16"])
@pytest.mark.parametrize("name", NETS)
def test_threads_change_no_bit(name, precision):
    """Three steps of 1, 2, 3 and 4 threads: losses, parameters, statistics, optimiser states."""
    make, shape = NETS[name]
    random = np.random.default_rng(1)
    batches = [(random.standard_normal((19, *shape)).astype(np.float32), random.integers(0, 10, 19)) for _ in range(3)]
    ends = []
    for threads in (1, 2, 3, 4):
        with nn.init.seeded(2):
            model = make()
        optimizer = optim.SGD(lr=0.05, momentum=0.9, clip_norm=1.0)
        trainer = thew.Trainer(model, "cross_entropy", optimizer, shape, precision, threads, 3)
        losses = [trainer.step(x, y) for x, y in batches]
        arrays = {**model.state_dict(), **trainer._engine.states}
        ends.append((losses, {key: array.tobytes() for key, array in arrays.items()}))
    for threads, (losses, arrays) in enumerate(ends[1:], 2):
        assert losses == ends[0][0], threads
        assert [key for key in arrays if arrays[key] != ends[0][1][key]] == [], threads
