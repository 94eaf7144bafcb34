"""Profiles and traces: what they say fits what was run."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew.ir import GraphBuilder
from thew.runtime.profile import Profile, profile


def net(channels: int = 32) -> Any:
    builder, random = GraphBuilder("net"), np.random.default_rng(0)
    y = builder.input("x", "fp32", (1, channels, 48, 48))
    for layer in range(2):
        weight = builder.constant(random.standard_normal((channels, channels, 3, 3)).astype(np.float32), f"w{layer}")
        y = builder.node("conv", [y, weight], f"conv{layer}", kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    return builder.graph([builder.node("softmax", [y], "y")])


def profiled(graph: Any, feeds: Any, threads: int = 2) -> Profile:
    session = thew.InferenceSession(graph, threads=threads)
    executable = session.prepare({name: array.shape for name, array in feeds.items()})
    return profile(executable, feeds, rounds=2)


@pytest.mark.parametrize("threads", [1, 2])
def test_layers_and_kernels_add_up(threads: int) -> None:
    found = profiled(net(), {"x": np.ones((1, 32, 48, 48), np.float32)}, threads)
    convs = [work for work in found.layers if work.op == "conv"]
    assert len(convs) == 2
    assert all(work.flops == 2 * 32 * 32 * 9 * 48 * 48 for work in convs)
    assert sum(work.calls for work in found.kernels) == len(found.layers)
    assert sum(work.seconds for work in found.kernels) == pytest.approx(sum(w.seconds for w in found.layers))
    assert sum(work.seconds for work in found.layers) <= found.seconds * 1.001
    for work in found.layers:
        assert sum(work.phases.values()) == pytest.approx(1.0)
        assert 0 < work.busy <= 1
        assert work.moved_bytes > 0
    assert all(work.flops_per_second == work.flops / work.seconds for work in convs)


def test_packing_is_told_apart_from_computing() -> None:
    found = profiled(net(), {"x": np.ones((1, 32, 48, 48), np.float32)}, 1)
    convs = [work for work in found.layers if work.op == "conv"]
    assert all(0 < work.phases["compute"] <= 1 for work in convs)
    assert any(work.phases["pack"] > 0 or work.phases["transform"] > 0 for work in convs)
    (softmax,) = [work for work in found.layers if work.op == "softmax"]
    assert softmax.phases["compute"] == 1.0


def test_the_trace_has_a_row_a_thread_on_which_nothing_overlaps(tmp_path: Path) -> None:
    found = profiled(net(), {"x": np.ones((1, 32, 48, 48), np.float32)}, 2)
    found.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert names == {0: "layers", 1: "worker 0", 2: "worker 1"}
    for row in names:
        slices = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X" and e["tid"] == row)
        assert slices or row == 2
        assert all(end <= begin + 1e-3 for (_, end), (begin, _) in pairwise(slices))
    whole = [event for event in events if event["ph"] == "X" and event["tid"] == 0]
    assert [event["name"] for event in whole] == [work.name for work in found.layers]
    assert {"flops_per_second", "share_of_peak", "moved_bytes"} <= set(whole[0]["args"])


def test_tiles_of_a_step_are_done_once_each() -> None:
    found = profiled(net(), {"x": np.ones((1, 32, 48, 48), np.float32)}, 2)
    tiles = [
        (event["name"], event["args"]["tile"])
        for event in found.events
        if event["ph"] == "X" and event["cat"] == "compute" and event["args"]["tile"] >= 0
    ]
    first = {tile for name, tile in tiles if name == found.layers[0].name}
    assert first == set(range(len(first)))


def test_steps_in_python_are_rows_too() -> None:
    builder = GraphBuilder("python")
    x = builder.input("x", "fp32", (4, 4))
    graph = builder.graph([builder.node("hardmax", [builder.node("relu", [x], "r")], "y")])
    found = profiled(graph, {"x": np.eye(4, dtype=np.float32)}, 1)
    assert [(work.op, work.kernel == "python") for work in found.layers] == [("relu", False), ("hardmax", True)]
    assert found.layers[1].flops_per_second is None
