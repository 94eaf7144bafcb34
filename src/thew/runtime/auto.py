"""`precision="auto"`: layers run on 16 bits where that was measured to be faster than fp32 here, now.

A network is made ready in fp32 and in each reduced precision, and its steps are timed in turn. What each layer takes
in either, and what a cast between layers is estimated to take, make a problem of the planner's kind
(`thew.plan.solve`), whose solution says which layers keep fp32; all that were not faster on 16 bits do. What comes of
it is timed as a whole against fp32, and is taken only where it wins. Nothing is assumed of an instruction set: on one
core `vdpbf16ps` doubles fp32's rate, on another it halves it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np

from thew.dtypes import HALVES, to_numpy
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
from thew.passes.reduce_precision import reduced_nodes
from thew.plan import Costs, key_of
from thew.plan.precisions import cheapest_dtypes
from thew.runtime.executable import Executable, NativeStage, Settings

ROUNDS = 5  # the fastest of each counts
MARGIN = 0.97  # of fp32's time: less is noise
ATTEMPTS = 3  # at a mixed network none of whose layers is slower


def faster_settings(graph: Graph, types: Mapping[str, TensorType], settings: Settings) -> Settings:
    """The settings with the precision that is fastest here, and the layers that keep fp32.

    Args:
        graph: as loaded.
        types: static types of its inputs.
        settings: those of the session; their precision is not read.
    """
    wide = replace(settings, precision="fp32", kept_fp32=())
    in_fp32 = Executable(graph, types, wide).single
    if in_fp32 is None:  # Python takes part: its time is not that of kernels
        return wide
    prepared = wide.prepare(graph, types)
    base = _layer_by_layer(graph, types, wide)
    best, best_share = wide, MARGIN
    for precision in HALVES:
        reduced = replace(wide, precision=precision)
        other = _layer_by_layer(graph, types, reduced)
        if base is None or other is None:
            continue
        mixed = _mixed(graph, types, reduced, prepared, base, other)
        share = _share_of_time(in_fp32, Executable(graph, types, mixed))
        if share < best_share:
            best, best_share = mixed, share
    return best


def _mixed(
    graph: Graph,
    types: Mapping[str, TensorType],
    reduced: Settings,
    prepared: Graph,
    base: NativeStage,
    other: NativeStage,
) -> Settings:
    """The settings under which no layer takes longer than in fp32, also among the layers that it then stands between.

    Args:
        graph: as loaded.
        types: static types of its inputs.
        reduced: settings that reduce all that may be.
        prepared: the graph prepared in fp32.
        base: the network in fp32, layer by layer.
        other: the same under `reduced`.
    """
    target = reduced.target
    before, after = _layer_seconds((base, other))

    def settled() -> Settings:
        kept = kept_fp32(prepared, reduced.precision, before, after, target.costs, target.threads)
        return replace(reduced, kept_fp32=kept)

    mixed = settled()
    for _ in range(ATTEMPTS):
        tried = _layer_by_layer(graph, types, mixed)
        if tried is None:
            return mixed
        wide, taken = _layer_seconds((base, tried))
        on_16_bits = {step.name for step in tried.plan.steps if any(view.dtype in HALVES for view in step.outputs)}
        slower = [name for name in on_16_bits & wide.keys() if taken[name] > wide[name]]
        if not slower:
            return mixed
        after.update(dict.fromkeys(slower, inf))
        mixed = settled()
    return mixed


def kept_fp32(
    graph: Graph, precision: str, before: Mapping[str, float], after: Mapping[str, float], costs: Costs, threads: int
) -> tuple[str, ...]:
    """First outputs of the nodes that are to keep fp32, such that all nodes and the casts between take least time, and
    each that is timed takes less than in fp32.

    Args:
        graph: prepared in fp32.
        precision: what the others are reduced to.
        before: seconds by node name in fp32, where they are known.
        after: the same, reduced.
        costs: rates of the device, for the casts.
        threads: that run a step.
    """
    can = reduced_nodes(graph, precision)
    names = Counter(node.name for node in graph.nodes)
    ways = {}
    for node in graph.nodes:
        known = names[node.name] == 1 and node.name in before and node.name in after
        wide, reduced = (before[node.name], after[node.name]) if known else (0.0, 0.0)
        ways[key_of(node)] = {"fp32": MARGIN * wide}
        if key_of(node) in can and reduced <= MARGIN * wide:
            ways[key_of(node)][precision] = reduced

    def cast(name: str, made: str, read: str) -> float:
        known = graph.type_of(name)
        assert known is not None
        return costs.copy_seconds(known.static_shape, "fp32", threads, transposed=False)

    chosen = cheapest_dtypes(graph, "fp32", ways, cast)
    return tuple(key for key, dtype in chosen.items() if dtype == "fp32" and key in can)


def _layer_by_layer(graph: Graph, types: Mapping[str, TensorType], settings: Settings) -> NativeStage | None:
    """The network with no step in strips, so that each has a time of its own; None where Python takes part."""
    return Executable(graph, types, replace(settings, options=replace(settings.options, strips=False))).single


def _layer_seconds(stages: Sequence[NativeStage]) -> list[dict[str, float]]:
    """Seconds of each step by name, the least of some runs, all stages run in turn: what else the machine does, it
    does to all of them.
    """
    arrays = [zeros(stage) for stage in stages]
    best = [np.full(len(stage.plan.steps), np.inf) for stage in stages]
    for _ in range(2 * ROUNDS):
        for index, stage in enumerate(stages):
            best[index] = np.minimum(best[index], stage.program.profile(arrays[index]))
    return [
        dict(zip((step.name for step in stage.plan.steps), map(float, least), strict=True))
        for stage, least in zip(stages, best, strict=True)
    ]


def _share_of_time(in_fp32: NativeStage, other: Executable) -> float:
    """What share of fp32's time the other takes, run in turn."""
    if other.single is None:
        return inf
    stages = (in_fp32, other.single)
    arrays = [zeros(stage) for stage in stages]
    best = [inf, inf]
    for _ in range(2 * ROUNDS):
        for index, stage in enumerate(stages):
            started = time.perf_counter()
            stage.program.run(arrays[index], len(stage.inputs))
            best[index] = min(best[index], time.perf_counter() - started)
    return best[1] / best[0]


def zeros(stage: NativeStage) -> tuple[Array, ...]:
    """Inputs of nothing but zeros, and room for outputs, as the stage's program takes them."""
    values = (*stage.plan.inputs, *stage.plan.outputs)
    return tuple(np.zeros(value.type.static_shape, to_numpy(value.type.dtype)) for value in values)
