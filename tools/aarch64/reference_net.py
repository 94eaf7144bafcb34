"""Runs in the emulated Python: the 3×3 reference network, once as a session runs it and once step by step.

Input 1×3×56×56, eight convolutions 3×3 (stride 1, padding 1, 32 channels) each with ReLU, a global average: 205 million
multiply-accumulates. Marks the two regions for the counting plugin and writes what the steps are as JSON to argv[1].
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import numpy as np

from thew import InferenceSession
from thew.ir import Graph
from thew.ir.builder import GraphBuilder

MARK = 0x54485700  # as in count.c
START, WHOLE, STEPS = 0, 1, 2
SIZE, CHANNELS, LAYERS = 56, 32, 8


def reference_graph() -> Graph:
    builder, random = GraphBuilder("reference"), np.random.default_rng(0)
    y = builder.input("x", "fp32", (1, 3, SIZE, SIZE))
    inputs = 3
    for layer in range(LAYERS):
        scale = np.sqrt(2 / (9 * inputs))
        weight = (random.standard_normal((CHANNELS, inputs, 3, 3)) * scale).astype(np.float32)
        bias = random.standard_normal(CHANNELS).astype(np.float32)
        operands = [y, builder.constant(weight, f"w{layer}"), builder.constant(bias, f"b{layer}")]
        y = builder.node("conv", operands, f"conv{layer}", kernel_shape=(3, 3), pads=(1, 1, 1, 1))
        y = builder.node("relu", [y], f"relu{layer}")
        inputs = CHANNELS
    return builder.graph([builder.node("global_average_pool", [y], "average")])


def mark(region: int) -> None:
    with contextlib.suppress(OSError):  # no such policy: the call itself is the mark
        os.sched_get_priority_max(MARK + region)


def module_base() -> int:
    """Where the native module is mapped."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return int(next(line for line in maps if "_native" in line).split("-")[0], 16)


def main() -> None:
    session = InferenceSession(reference_graph(), threads=1)
    x = np.random.default_rng(1).standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)
    for _ in range(2):
        (y,) = session.run(None, {"x": x})
    mark(START)
    session.run(None, {"x": x})
    mark(WHOLE)
    stage = session.prepare().single
    assert stage is not None, "the reference network must be one native plan"
    outputs = [np.empty(shape, dtype) for shape, dtype in stage.results]
    arrays = (x, *outputs)
    stage.program.profile(arrays)
    mark(START)
    stage.program.profile(arrays)
    mark(STEPS)
    assert np.array_equal(outputs[0], y), "both ways must give the same"
    steps = [{"name": step.name, "kernel": step.kernel, "macs": step.flops // 2} for step in stage.plan.steps]
    Path(sys.argv[1]).write_text(json.dumps({"base": module_base(), "steps": steps}))


if __name__ == "__main__":
    main()
