"""The statistics of a comparison, and tasks as data."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from thew.bench import PEERS, MatmulTask, ModelTask, OverheadTask
from thew.bench.peers import find
from thew.bench.rounds import _calls, _outcome, relative_difference
from thew.bench.tasks import from_dict
from thew.errors import InputError, UnsupportedError


def test_ratios_are_taken_round_by_round():
    first = [[1.0], [2.0], [10.0]]  # a machine that slows down as it goes
    other = [[2.0], [4.0], [20.0]]
    turns = {"a": first, "b": other}
    ends = {name: ([np.ones(2)], 7) for name in turns}
    outcome = _outcome(SimpleNamespace(name="b", report={}), turns, "a", ends)
    assert outcome.ratio == 2.0
    assert outcome.seconds == (2.0, 4.0, 20.0)
    assert (outcome.median, outcome.minimum, outcome.difference, outcome.peak_rss_bytes) == (4.0, 2.0, 0.0, 7)


def test_a_turn_counts_by_the_median_of_its_calls():
    turns = {"a": [[1.0, 9.0, 1.1]], "b": [[3.3, 3.0, 90.0]]}
    ends = {name: ([np.ones(1)], 0) for name in turns}
    outcome = _outcome(SimpleNamespace(name="b", report={}), turns, "a", ends)
    assert outcome.ratio == pytest.approx(3.0)
    assert outcome.minimum == 3.0


def test_turns_take_as_long_as_asked():
    assert _calls(0.01, 0.25) == 25
    assert _calls(2.0, 0.25) == 1
    assert _calls(0.0, 0.25) == 2000


def test_differences_are_relative_to_the_largest():
    assert relative_difference(np.array([1.0, 10.1]), np.array([1.0, 10.0])) == pytest.approx(0.01)
    assert relative_difference(np.zeros(2), np.zeros(2)) == 0.0
    assert relative_difference(np.zeros(2), np.zeros(3)) == math.inf
    assert relative_difference(np.array([np.nan, 1.0]), np.array([1.0, 1.0])) == math.inf
    assert relative_difference(np.array([np.inf, 1.0]), np.array([np.inf, 1.0])) == 0.0


@pytest.mark.parametrize(
    "task",
    [
        MatmulTask(1, 0, "/tmp", 2, 3, 4, "fp64"),
        ModelTask(2, 1, "/tmp", "m.onnx", {"x": ("fp32", (1, 2))}),
        OverheadTask(1, 0, "/tmp", "m.onnx"),
    ],
)
def test_tasks_survive_json_with_the_same_inputs(task):
    import json

    again = from_dict(json.loads(json.dumps(task.to_dict())))
    feeds, others = task.feeds(), again.feeds()
    assert list(feeds) == list(others)
    assert all(np.array_equal(feeds[name], others[name]) for name in feeds)
    assert all(feeds[name].dtype == others[name].dtype for name in feeds)


def test_matmul_feeds_are_m_by_k_and_k_by_n():
    feeds = MatmulTask(1, 0, "/tmp", 2, 3, 4).feeds()
    assert (feeds["a"].shape, feeds["b"].shape, feeds["a"].dtype) == ((2, 4), (4, 3), np.float32)


def test_unknown_kinds_and_peers_are_refused():
    with pytest.raises(InputError, match="kind must be one of"):
        from_dict({"kind": "dance"})
    with pytest.raises(UnsupportedError, match="must be one of thew"):
        find("abacus", "model")
    with pytest.raises(UnsupportedError, match="for model"):
        find("numpy", "model")


def test_every_peer_has_its_module():
    import importlib.util

    for peer in PEERS.values():
        assert importlib.util.find_spec(f"thew.bench.peers.{peer.module}") is not None
