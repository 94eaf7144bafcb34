"""Threads and blockings of a layer: what is tried where, and what is left of it as options."""

from dataclasses import replace

import numpy as np
import pytest

from thew.ir import GraphBuilder
from thew.passes.specialise import specialise
from thew.plan import KernelRow, Needs, Target
from thew.plan.alternatives import alternatives_of, variants_of
from thew.plan.cost import Cost
from thew.search.environment import distinct

ROWS = (KernelRow("conv_implicit", "conv", "implicit", "fp32", "fp32", "fp32", 14, 32, 1, "avx512"),)


def variants(threads, channels=64, size=56):
    b = GraphBuilder("one")
    weight = b.constant(np.ones((channels, channels, 3, 3), np.float32))
    x = b.input("x", "fp32", (1, channels, size, size))
    graph = b.graph([b.node("conv", [x, weight], "y", pads=(1, 1, 1, 1))])
    graph = specialise(graph, {value.name: value.type for value in graph.inputs})
    target = Target("board", ("avx512",), threads, ROWS, lambda step: Needs(0, 0, ()))
    (node,) = graph.nodes
    return variants_of(graph, target, node, alternatives_of(graph, target, node))


@pytest.mark.parametrize(
    ("threads", "size", "counts"), [(1, 56, {1}), (2, 56, {2, 1}), (8, 56, {8, 4}), (8, 1, {8, 4, 2, 1})]
)
def test_threads_are_tried_where_the_estimate_leaves_them_open(threads, size, counts):
    assert {way.choice.threads for way in variants(threads, size=size)} == counts


def test_blockings_are_tried_where_they_may_matter():
    assert {way.choice.blocking for way in variants(1, channels=16, size=8)} == {"fitted"}
    assert {way.choice.blocking for way in variants(1)} == {"fitted", "shallow", "deep", "low", "high"}
    assert {way.choice.blocking for way in variants(2, channels=16, size=32)} == {"fitted", "coarse", "fine"}


def timed(way, seconds, **changes):
    return replace(way, choice=replace(way.choice, **changes), cost=Cost(seconds))


def test_another_blocking_is_an_option_where_it_is_surely_faster():
    way = variants(1)[0]
    fitted = timed(way, 1.0, blocking="fitted")
    assert distinct([timed(way, 0.99, blocking="low"), fitted]) == [fitted]
    low = timed(way, 0.9, blocking="low")
    assert distinct([fitted, low]) == [low]


def test_what_is_shared_out_otherwise_stays_an_option_where_it_is_near():
    way = variants(4)[0]
    all_threads, coarse = timed(way, 1.0, threads=4), timed(way, 1.1, threads=4, blocking="coarse")
    alone, far = timed(way, 1.05, threads=1), timed(way, 1.3, threads=2)
    assert distinct([all_threads, coarse, alone, far]) == [all_threads, coarse, alone]
