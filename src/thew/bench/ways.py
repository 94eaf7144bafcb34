"""Every way in which the kernel table runs a layer: what the planner estimates of each, and what it takes.

The programs of a layer's ways are profiled in turn, round by round, so that their ratios hold on a noisy machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Any

import numpy as np

from thew.compress.masks import masked
from thew.dtypes import to_numpy
from thew.ir import Graph, GraphBuilder
from thew.passes.quantisable import layers
from thew.passes.specialise import specialise
from thew.plan import PlanOptions, Target, Way, build_plan, survey
from thew.runtime.native import Program

Named = Iterator[tuple[str, Graph]]


@dataclass(frozen=True)
class Timed:
    """One way to run a layer.

    Attributes:
        layer: which.
        algorithm: ``family.algorithm``.
        kernel: the row.
        estimate: the planner's seconds; the first way of a layer is the one of least.
        seconds: the least of all rounds.
        ratio: median over rounds of its time over that of the first.
    """

    layer: str
    algorithm: str
    kernel: str
    estimate: float
    seconds: float
    ratio: float


def time_ways(name: str, graph: Graph, target: Target, rounds: int) -> list[Timed]:
    """Times of the only node's ways on the ISA that the planner would take, cheapest first by its estimate."""
    typed = specialise(graph, {value.name: value.type for value in graph.inputs})
    ((key, ways),) = survey(typed, target).items()
    ways = tuple(way for way in ways if way.alternative.row.isa == ways[0].alternative.row.isa)
    programs = [_program(typed, target, key, way) for way in ways]
    times: list[list[float]] = [[] for _ in ways]
    for index in range(rounds + 1):
        for profile, taken in zip(programs, times, strict=True):
            seconds = profile()
            if index:  # the first round warms up
                taken.append(seconds)
    return [
        Timed(name, way.choice.algorithm, way.alternative.row.name, way.seconds, min(taken),
              median(own / base for own, base in zip(taken, times[0], strict=True)))
        for way, taken in zip(ways, times, strict=True)
    ]  # fmt: skip


def _program(graph: Graph, target: Target, key: str, way: Way) -> Callable[[], float]:
    """Runs the layer that way: its kernel's seconds, without conversions of layouts around it."""
    plan = build_plan(graph, target, PlanOptions(), {key: way.choice})
    program = Program(plan, graph.constants)
    generator = np.random.default_rng(0)
    externals = (*plan.inputs, *plan.outputs)
    arrays: tuple[np.ndarray[Any, Any], ...] = tuple(
        generator.standard_normal(value.type.static_shape).astype(to_numpy(value.type.dtype)) for value in externals
    )
    at = next(index for index, step in enumerate(plan.steps) if step.kernel == way.alternative.row.name)
    return lambda: float(program.profile(arrays)[at])


def _weights() -> Named:
    """Dense layers of few rows: int8 weights under floats; a quarter of blocks kept; two of every four inputs."""
    generator = np.random.default_rng(0)
    for side in (1024, 4096):
        weight = generator.standard_normal((side, side)).astype(np.float32)
        integers = generator.integers(-127, 128, (side, side)).astype(np.int8)
        scale = np.full(side, 0.01, np.float32)
        for rows in (1, 4, 16, 64):
            b = GraphBuilder("widened")
            x = b.input("x", "fp32", (rows, side))
            node = b.node("scaled_matmul", [x, b.constant(integers), "", "", b.constant(scale)])
            yield f"int8 weights, {rows}×{side}×{side}", b.graph([node])
            b = GraphBuilder("dense")
            graph = b.graph([b.node("matmul", [b.input("x", "fp32", (rows, side)), b.constant(weight, "w")])])
            for structure in ("block", "2:4"):
                yield f"{structure}, {rows}×{side}×{side}", masked(graph, layers(graph), structure, 0.75)[0]


def _conv(channels: int, outputs: int, size: int, window: int, group: int = 1, stride: int = 1) -> Graph:
    weight = np.random.default_rng(0).standard_normal((outputs, channels // group, window, window)).astype(np.float32)
    b = GraphBuilder("conv")
    operands = [b.input("x", "fp32", (1, channels, size, size)), b.constant(weight)]
    pads, strides = (window // 2,) * 4, (stride, stride)
    return b.graph([b.node("conv", operands, pads=pads, strides=strides, group=group)])


def _groups() -> Named:
    """Convolutions of 3×3 in narrow groups."""
    for channels, width, size, stride in (
        (128, 4, 56, 1), (256, 8, 28, 1), (208, 8, 14, 1), (208, 8, 28, 2), (512, 16, 28, 2), (512, 16, 14, 1),
        (1024, 32, 14, 2), (1024, 32, 7, 1),
    ):  # fmt: skip
        name = f"{channels} channels in groups of {width}, {size}², stride {stride}"
        yield name, _conv(channels, channels, size, 3, channels // width, stride)


def _few_outputs() -> Named:
    """Convolutions of many channels to a few."""
    for channels, outputs, window, size in (
        (64, 1, 9, 128), (64, 3, 9, 96), (32, 1, 5, 160), (32, 3, 7, 112), (64, 3, 3, 128), (56, 2, 3, 64),
    ):  # fmt: skip
        yield f"{channels}→{outputs}, {window}×{window}, {size}²", _conv(channels, outputs, size, window)


LAYERS: Mapping[str, Callable[[], Named]] = MappingProxyType(
    {"weights": _weights, "groups": _groups, "few_outputs": _few_outputs}
)
