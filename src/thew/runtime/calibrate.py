"""Measures the rates that the planner's estimates go by, in seconds, and keeps them in a file of the user's cache.

A device is told by CPU model, best ISA and Thew's version. Where it was never calibrated the planner takes built-in
rates, so that a first session is quick and its plan the same everywhere; see decision 27.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from thew._version import __version__
from thew.dtypes import to_numpy
from thew.files import write_json
from thew.ir import Graph, GraphBuilder
from thew.passes.specialise import specialise
from thew.plan import BUILT_IN, Choice, Costs, PlanOptions, Target, Way, build_plan, survey
from thew.plan.cost import nominal_rate
from thew.runtime.native import Program

_ROUNDS = 5
_LEAST_JOIN_SECONDS = 1e-7  # two looks at another core's memory
_LEAST_EFFICIENCY, _MOST_EFFICIENCY = 0.001, 4.0  # of a nominal rate, which need not be the very core's
_DTYPES = ("fp32", "fp64", "fp16", "bf16")
_NUMBERS = ("speed", "transpose_factor", "step_seconds", "join_seconds")
_JOINED_ELEMENTS = 1 << 15  # of a step that takes one thread about as long as one that several may be too many for

Write = Callable[[GraphBuilder, str], str]  # a node of a dtype, its output's name


@dataclass(frozen=True)
class Probe:
    """A layer that is run in every way that the table has for it, in these dtypes; or in those of one family alone."""

    write: Write
    dtypes: tuple[str, ...] = _DTYPES
    family: str = ""


def costs_path(device: str) -> Path:
    """Where the rates of a device are kept: below $XDG_CACHE_HOME, or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{device}-{__version__}").strip("-").lower()
    return Path(root) / "thew" / "costs" / f"{name}.json"


def load_costs(device: str) -> Costs:
    """The rates that were measured for a device; the built-in ones where none were, or the file is damaged."""
    try:
        fields = json.loads(costs_path(device).read_text())
        efficiencies = {str(key): float(value) for key, value in fields["efficiencies"].items()}
        levels = tuple((int(size), float(rate)) for size, rate in fields["levels"])
        speed, factor, step, join = (float(fields[name]) for name in _NUMBERS)
        if not levels or not min(speed, factor, step, join, *efficiencies.values(), *(rate for _, rate in levels)) > 0:
            return BUILT_IN
        return Costs("calibrated", speed, efficiencies, levels, factor, step, join)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return BUILT_IN


def save_costs(device: str, costs: Costs) -> Path:
    """Writes the rates of a device, atomically: where to."""
    path = costs_path(device)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(costs))
    return path


def calibrate(target: Target, together: Target, peak_flops: float, caches: dict[str, int]) -> Costs:
    """Measures a machine's rates on one thread, and what it costs that several join in a step.

    Args:
        target: the machine, for one thread.
        together: the machine, for all threads that it has cores for.
        peak_flops: operations a second of a core's fp32 multiply-adds on the best ISA.
        caches: bytes by level: l1_bytes, l2_bytes, l3_bytes_per_core.
    """
    speed = peak_flops / 2 / max(nominal_rate(row.isa, "fp32") for row in target.rows if row.a == "fp32")
    step_seconds = _copy_seconds(target, 16, 64) / 64
    sizes = [size for name in ("l1_bytes", "l2_bytes", "l3_bytes_per_core") if (size := caches[name]) > 0]
    extents = [*(size // 2 for size in sizes), 32 << 20]
    levels = tuple(
        (size, _bandwidth(target, extent, step_seconds)) for size, extent in zip([*sizes, 0], extents, strict=True)
    )
    join_seconds = _join_seconds(together) if together.threads > 1 else BUILT_IN.join_seconds
    costs = Costs("calibrated", speed, {}, levels, step_seconds=step_seconds, join_seconds=join_seconds)
    costs = replace(costs, transpose_factor=_transpose_factor(target, extents[min(1, len(extents) - 1)], costs))
    return replace(costs, efficiencies=_efficiencies(replace(target, costs=costs)))


def _run(graph: Graph, target: Target, choices: dict[str, Choice]) -> np.ndarray[Any, Any]:
    """The least seconds of each step."""
    plan = build_plan(graph, target, PlanOptions(), choices)
    program = Program(plan, graph.constants)
    arrays = tuple(
        np.zeros(value.type.static_shape, to_numpy(value.type.dtype)) for value in (*plan.inputs, *plan.outputs)
    )
    runs = [program.profile(arrays) for _ in range(_ROUNDS)]
    best: np.ndarray[Any, Any] = np.array(runs).min(axis=0)
    return best


def _typed(graph: Graph) -> Graph:
    return specialise(graph, {value.name: value.type for value in graph.inputs})


def _copy_seconds(target: Target, elements: int, steps: int, threads: int = 1) -> float:
    """A chain of elementwise steps over one tensor: what they all take."""
    b = GraphBuilder("copies")
    value = b.input("x", "fp32", (elements,))
    names = [f"y{step}" for step in range(steps)]
    for name in names:
        value = b.node("neg", [value], name)
    return float(_run(_typed(b.graph([value])), target, {name: Choice(threads=threads) for name in names}).sum())


def _join_seconds(together: Target) -> float:
    """What a step takes on all threads over their share of what it takes on one."""
    steps = 16
    alone, shared = (_copy_seconds(together, _JOINED_ELEMENTS, steps, count) for count in (1, together.threads))
    return max((shared - alone / together.threads) / steps, _LEAST_JOIN_SECONDS)


def _bandwidth(target: Target, extent_bytes: int, step_seconds: float) -> float:
    """Bytes a second, read and written, over tensors that together are of that extent."""
    elements, steps = max(extent_bytes // 8, 16), 8
    seconds = _copy_seconds(target, elements, steps) / steps - step_seconds
    return 8 * elements / max(seconds, 1e-9)


def _transpose_factor(target: Target, extent_bytes: int, costs: Costs) -> float:
    """How many times as long a conversion of layout takes as a copy of the same extent."""
    side = max(8, int((extent_bytes / 8 / 64) ** 0.5))
    b = GraphBuilder("transpose")
    x = b.input("x", "fp32", (1, 64, side, side))
    graph = _typed(b.graph([b.node("neg", [x], "y")]))
    plan_seconds = _run(graph, target, {"y": Choice(layout="channels_last")})  # a conversion before it and after it
    moved = 2 * 4 * 64 * side * side
    straight = costs.transfer_seconds(moved, moved, 1)
    return max(1.0, float(plan_seconds.sum() - straight) / 2 / straight)


def _probes() -> Iterator[Probe]:
    """Layers of common networks, one of each kind that the table has algorithms for."""
    yield from map(Probe, _layers())
    # Of weights as they are best held: near enough for arithmetic to count.
    yield from (Probe(write, ("fp32",), "gemv") for write in _weights())


def _weights() -> Iterator[Write]:
    """Dense layers of four rows: int8 weights under floats, a quarter of blocks kept, two of every four inputs."""
    side, rows = 512, 4
    blocks = np.zeros((side, side), np.float32)
    blocks[::4] = 1
    pairs = np.zeros((side, side), np.float32)
    pairs[::4] = pairs[1::4] = 1

    def widened(b: GraphBuilder, dtype: str) -> str:
        weight, scale = b.constant(np.ones((side, side), np.int8)), b.constant(np.ones(side, np.float32))
        return b.node("scaled_matmul", [b.input("x", dtype, (rows, side)), weight, "", "", scale])

    def sparse(weight: np.ndarray[Any, Any]) -> Write:
        return lambda b, dtype: b.node("matmul", [b.input("x", dtype, (rows, side)), b.constant(weight)])

    yield from (widened, sparse(blocks), sparse(pairs))


def _layers() -> Iterator[Write]:

    def conv(c: int, oc: int, size: int, window: int, **attributes: Any) -> Write:
        def write(b: GraphBuilder, dtype: str) -> str:
            pads = (window // 2,) * 4
            weight = np.zeros((oc, c // attributes.get("group", 1), window, window), to_numpy(dtype))
            return b.node(
                "conv", [b.input("x", dtype, (1, c, size, size)), b.constant(weight)], pads=pads, **attributes
            )

        return write

    def dense(b: GraphBuilder, dtype: str) -> str:
        weight = b.constant(np.zeros((512, 512), to_numpy(dtype)))
        return b.node("matmul", [b.input("x", dtype, (64, 512)), weight])

    def simple(op: str, **attributes: Any) -> Write:
        return lambda b, dtype: b.node(op, [b.input("x", dtype, (1, 64, 28, 28))], **attributes)

    yield from (conv(64, 64, 28, 3), conv(256, 256, 14, 3), conv(256, 64, 28, 1), conv(512, 512, 7, 1))
    yield from (conv(96, 96, 28, 3, group=96), conv(192, 192, 14, 3, group=192), conv(64, 64, 28, 3, strides=(2, 2)))
    yield from (conv(128, 128, 28, 3, group=32), conv(208, 208, 14, 3, group=26))
    yield from (conv(3, 32, 112, 3, strides=(2, 2)), conv(3, 64, 112, 7, strides=(2, 2)))
    yield from (dense, simple("max_pool", kernel_shape=(3, 3), strides=(2, 2)), simple("relu"), simple("sigmoid"))


def _efficiencies(target: Target) -> dict[str, float]:
    """Share of the peak that each algorithm reaches, by ``family.algorithm/dtype/isa``: the median of the probes."""
    found: dict[str, list[float]] = defaultdict(list)
    for probe in _probes():
        for dtype in probe.dtypes:
            b = GraphBuilder("probe")
            graph = _typed(b.graph([probe.write(b, dtype)]))
            for key, ways in survey(graph, target).items():
                for way in ways:
                    if not way.alternative.row.family.startswith(probe.family):
                        continue
                    reached = _efficiency(graph, target, key, way)
                    if reached is not None:
                        row = way.alternative.row
                        found[f"{way.choice.algorithm}/{row.a}/{row.isa}"].append(reached)
    return {key: median(values) for key, values in found.items()}


def _efficiency(graph: Graph, target: Target, key: str, way: Way) -> float | None:
    """The efficiency that makes the estimate of a way equal to its measured time."""
    cost, row = way.alternative.cost, way.alternative.row
    if cost.compute_seconds == 0:
        return None
    plan_seconds = _run(graph, target, {key: way.choice})
    plan = build_plan(graph, target, choices={key: way.choice})
    at = next(index for index, step in enumerate(plan.steps) if step.kernel == row.name)
    at_peak = cost.compute_seconds * target.costs.efficiency(row)
    left = max(float(plan_seconds[at]) - cost.memory_seconds - cost.fixed_seconds, at_peak / _MOST_EFFICIENCY)
    return max(_LEAST_EFFICIENCY, at_peak / left)
