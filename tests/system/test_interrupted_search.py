"""Searches that are killed lose no measurement; searches that share a cache do not harm it."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

import thew
from thew import nn
from thew.passes import pipeline
from thew.runtime.cache import Cache
from thew.runtime.device import device_key, target
from thew.search.environment import Environment
from thew.search.measure import kernels_version
from thew.search.network_level import planned_graph
from thew.search.space import Settings

SCRIPT = """
import os, signal, sys
import thew
left = int(sys.argv[3])  # pieces of measuring after which it is killed, as by another
def progress(what, done, total):
    global left
    print(what, done, total, flush=True)
    left -= what == "measuring"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
thew.search(sys.argv[1], episodes=5, seeds=1, levels=["algorithm"], cache=sys.argv[2], progress=progress)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.MaxPool2d(2), nn.Conv2d(8, 16, 1)]
    network = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4), nn.Softmax(1))
    thew.export_onnx(network, path, input_shape=(1, 3, 16, 16))
    return path


def keys_of(model):
    """What a search of the model measures."""
    source = thew.onnx.read(model)
    types = {value.name: value.type for value in pipeline.run(source, pipeline.LOAD).inputs}
    environment = Environment(source, planned_graph(source, types, Settings()), target(1))
    return {trial.key for trial in environment.trials()}


def start(model, cache, killed_after=-1):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", SCRIPT, str(model), str(cache), str(killed_after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def known(cache):
    opened = Cache(device_key(), kernels_version(), cache)
    found = opened.known()
    opened.close()
    return found


def test_a_killed_search_goes_on_from_what_it_had_measured(model, tmp_path):
    cache, wanted, before = tmp_path / "cache.sqlite", keys_of(model), {}
    for killed_after in (2, 3):
        process = start(model, cache, killed_after)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
        pieces = [line.split() for line in said.splitlines() if line.startswith("measuring")]
        assert len(pieces) == killed_after and int(pieces[0][2]) == len(wanted) - len(before)
        # What it said it had done is kept, and so is all that was there before, unchanged.
        after = known(cache)
        assert len(after) == len(before) + int(pieces[-1][1]) and after.items() >= before.items()
        before = after
    assert 0 < len(before) < len(wanted)
    process = start(model, cache)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and f"measuring 0 {len(wanted) - len(before)}\n" in said
    assert wanted <= known(cache).keys() and known(cache).items() >= before.items()


def test_two_searches_share_one_cache(model, tmp_path):
    cache = tmp_path / "cache.sqlite"
    both = [start(model, cache) for _ in range(2)]
    for process in both:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert keys_of(model) <= known(cache).keys()
    with sqlite3.connect(cache) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
