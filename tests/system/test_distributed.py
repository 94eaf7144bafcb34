"""Two processes that train together do what one with the whole batch does: loss, gradients, statistics, draws, ends.

Runs under mpirun as subprocesses; skipped where there is no MPI.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed_cases import CASES

import thew

pytest.importorskip("mpi4py")
LAUNCHER = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
pytestmark = pytest.mark.skipif(LAUNCHER is None, reason="mpirun is not there")

SCRIPT = str(Path(__file__).with_name("distributed_cases.py"))
# A container's root may launch, two processes on one core, and who waits lets the other one work.
ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
CROWDED = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
POLITE = {"OMPI_MCA_mpi_yield_when_idle": "1"}


def python(*arguments: object, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    launch = [str(LAUNCHER), "-n", str(ranks)] if ranks > 1 else []
    command = [*launch, sys.executable, *map(str, arguments)]
    environment = {**os.environ, **ROOT, **CROWDED, **POLITE}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Every case in one process and in two: (one, two) by name."""
    folder = tmp_path_factory.mktemp("distributed")
    for ranks in (1, 2):
        done = python(SCRIPT, folder, *CASES, ranks=ranks)
        assert done.returncode == 0, done.stdout + done.stderr
    return {name: [dict(np.load(folder / f"{name}-{ranks}.npz")) for ranks in (1, 2)] for name in CASES}


def differences(results, name):
    one, two = results[name]
    assert one.keys() == two.keys()
    timed = ("history.seconds", "history.samples_per_second")
    return {key: np.abs(one[key].astype(np.float64) - two[key]).max() for key in one if key not in timed}


@pytest.mark.parametrize("name", ["fp64", "one_bucket", "stages", "parts", "sum", "frozen"])
def test_two_processes_are_one(results, name):
    """Sums in another order, in fp64: far below 1e-10 after eight steps."""
    assert max(differences(results, name).values()) < 1e-10, differences(results, name)


@pytest.mark.parametrize(("name", "epsilon"), [("mixed-fp16", 2.0**-10), ("fp16", 2.0**-10), ("bf16", 2.0**-7)])
def test_gradients_in_16_bits(results, name, epsilon):
    """A gradient errs by half an epsilon before the sum and after; clipped to 1, in eight steps of 0.05 with momentum
    (a factor of ten at most) parameters err by at most 8 · 0.05 · 10 epsilons, and what follows of them as much again.
    """
    found = differences(results, name)
    weights = {key: value for key, value in found.items() if key.endswith(("weight", "bias")) and "momentum" not in key}
    assert weights and max(weights.values()) < 4 * epsilon
    assert found["history.loss"] < 8 * epsilon
    one, two = results[name]
    assert any(not np.array_equal(one[key], two[key]) for key in weights)  # they did travel otherwise


def test_processes_stop_and_draw_together(tmp_path):
    done = python(SCRIPT, tmp_path, "stop", "draws", ranks=2)
    assert done.returncode == 0, done.stdout + done.stderr


def test_failure_of_one_ends_all_with_a_checkpoint(tmp_path):
    done = python(SCRIPT, tmp_path, "fail", ranks=2)
    assert done.returncode != 0
    assert "rank 1 of 2: ValueError: no more data here (saved " in done.stderr
    resumed = thew.Trainer.resume(tmp_path / "fail.ckpt")
    assert resumed.counters.steps == 3
    resumed.step(np.zeros((2, 1, 8, 8)), np.zeros(2, int))


def test_the_command(tmp_path, monkeypatch):
    """Bars at places that tell the class, in the form of MNIST."""
    random = np.random.default_rng(0)
    y = random.integers(0, 10, 320)
    x = random.integers(0, 60, (320, 28, 28)).astype(np.uint8)
    for picture, label in zip(x, y, strict=True):
        picture[2 * label + 3 : 2 * label + 7] = 255
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:80], y_test=y[:80])
    monkeypatch.setenv("THEW_DATA", str(tmp_path))
    how = ("--epochs", 3, "--batch-size", 8, "--compress", "bf16", "--json")
    done = python("-m", "thew", "train", "lenet5", "--data", "mnist", *how, ranks=2)
    assert done.returncode == 0, done.stderr
    history = json.loads(done.stdout)["history"]
    assert len(history["loss"]) == 3 and history["val_accuracy"][-1] > 0.5
