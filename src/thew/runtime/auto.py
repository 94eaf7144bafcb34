"""`precision="auto"`: layers run on 16 bits where that was measured to be faster than fp32 here, now.

A network is made ready in fp32 and in each reduced precision, and its steps are timed in turn. A layer that was not
faster reduced stays in fp32, with the casts that this takes; what comes of it is timed as a whole against fp32, and is
taken only where it wins. Nothing is assumed of an instruction set.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from thew.dtypes import HALVES, to_numpy
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
from thew.plan.choices import key_of
from thew.runtime.executable import Executable, NativeStage, Settings

ROUNDS = 5  # the fastest of each counts
MARGIN = 0.97  # of fp32's time: less is noise


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
    best, best_share = wide, MARGIN
    for precision in HALVES:
        reduced = replace(wide, precision=precision)
        found = Executable(graph, types, reduced)
        if found.single is None:
            continue
        mixed = replace(reduced, kept_fp32=_slower_layers(found.graph, in_fp32, found.single))
        share = _share_of_time(in_fp32, found if not mixed.kept_fp32 else Executable(graph, types, mixed))
        if share < best_share:
            best, best_share = mixed, share
    return best


def _slower_layers(graph: Graph, in_fp32: NativeStage, reduced: NativeStage) -> tuple[str, ...]:
    """First outputs of the nodes that took no less time reduced. Nodes without a name of their own are not told apart,
    and follow the rest.
    """
    before, after = _step_seconds(in_fp32, reduced)
    names = Counter(node.name for node in graph.nodes)
    return tuple(
        key_of(node)
        for node in graph.nodes
        if names[node.name] == 1
        and node.name in before
        and node.name in after
        and after[node.name] >= MARGIN * before[node.name]
    )


def _step_seconds(*stages: NativeStage) -> list[dict[str, float]]:
    """Seconds of each stage's steps by name, timed in turn."""
    arrays = [_zeros(stage) for stage in stages]
    best = [np.full(len(stage.plan.steps), np.inf) for stage in stages]
    for _ in range(ROUNDS + 1):
        for index, stage in enumerate(stages):
            best[index] = np.minimum(best[index], stage.program.profile(arrays[index]))
    return [
        dict(zip((step.name for step in stage.plan.steps), map(float, seconds), strict=True))
        for stage, seconds in zip(stages, best, strict=True)
    ]


def _share_of_time(in_fp32: NativeStage, other: Executable) -> float:
    """What share of fp32's time the other takes."""
    if other.single is None:
        return np.inf
    stages = (in_fp32, other.single)
    arrays = [_zeros(stage) for stage in stages]
    best = [np.inf, np.inf]
    for _ in range(2 * ROUNDS):
        for index, stage in enumerate(stages):
            started = time.perf_counter()
            stage.program.run(arrays[index], len(stage.inputs))
            best[index] = min(best[index], time.perf_counter() - started)
    return float(best[1] / best[0])


def _zeros(stage: NativeStage) -> tuple[Array, ...]:
    values = (*stage.plan.inputs, *stage.plan.outputs)
    return tuple(np.zeros(value.type.static_shape, to_numpy(value.type.dtype)) for value in values)
