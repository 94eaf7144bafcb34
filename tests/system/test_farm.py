"""Measurements by other processes: all are taken, kept, and none beside them; boards of another kind are refused."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import chain, repeat
from pathlib import Path

import pytest

import thew
from thew import nn
from thew.errors import InputError, UnsupportedError
from thew.runtime.cache import Cache
from thew.runtime.device import device_key, target
from thew.runtime.survey import planned_graph
from thew.search import farm as farming
from thew.search.environment import Environment
from thew.search.measure import Trial, kernels_version, measure

LAUNCHER = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


@pytest.fixture(scope="module")
def model():
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 4)]
    return nn.Sequential(*layers).graph((1, 3, 8, 8))


class Near:
    """An executor that runs where it is."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def refuse():
    raise UnsupportedError("no kernel: must be one, got none")


def test_workers_measure_all_that_is_to_be_known(model, tmp_path):
    trials = Environment(model, planned_graph(model), target(1)).trials()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
        broken = Trial("broken", "layer", partial(refuse))
        known, refused = measure([*trials, broken], Cache("device", "1", tmp_path / "cache"), farm=workers)
    assert known.keys() == {trial.key for trial in trials} and refused == {"broken"}
    assert Cache("device", "1", tmp_path / "cache").known() == known


def test_boards_of_another_kind_are_refused(model, monkeypatch):
    trials = Environment(model, planned_graph(model), target(1)).trials()
    kinds = chain([("this", "1")], repeat(("another", "1")))
    monkeypatch.setattr(farming, "_here", lambda: next(kinds))
    with pytest.raises(InputError, match="another"):
        measure(trials, Cache("this", "1"), farm=Near())


@pytest.mark.skipif(LAUNCHER is None, reason="mpirun is not there")
def test_processes_of_an_mpi_job_measure(model, tmp_path):
    pytest.importorskip("mpi4py")
    file = tmp_path / "model.onnx"
    thew.export_onnx(model, file)
    options = ["--farm", "--episodes", "5", "--levels", "algorithm", "--json"]
    command = [sys.executable, "-m", "mpi4py.futures", "-m", "thew", "search", str(file), *options]
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    crowded = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    own = {"THEW_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment = {**os.environ, **root, **crowded, **own, "OMPI_MCA_mpi_yield_when_idle": "1"}
    done = subprocess.run(
        [str(LAUNCHER), "-n", "3", *command], capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = Cache(device_key(), kernels_version(), tmp_path / "measurements.sqlite").known()
    assert {trial.key for trial in Environment(model, planned_graph(model), target(1)).trials()} <= kept.keys()
    assert (tmp_path / "model.plan.json").exists()
