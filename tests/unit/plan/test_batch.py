"""Which graphs may be cut along the batch, and into which parts."""

import numpy as np
import pytest

from thew.ir import GraphBuilder
from thew.passes.specialise import specialise
from thew.plan.batch import is_separable, part_size


def separable(write, shape=(4, 8, 6, 6), batch=None):
    b = GraphBuilder("g")
    graph = b.graph([write(b, b.input("x", "fp32", shape))])
    graph = specialise(graph, {value.name: value.type for value in graph.inputs})
    return is_separable(graph, shape[0] if batch is None else batch)


def constant(b, *shape):
    return b.constant(np.ones(shape, np.float32))


def ints(b, *values):
    return b.constant(np.array(values, np.int64))


APART = {
    "conv": lambda b, x: b.node("conv", [x, constant(b, 5, 8, 3, 3), constant(b, 5)]),
    "residual": lambda b, x: b.node("add", [b.node("relu", [x]), x]),
    "scalar": lambda b, x: b.node("mul", [x, b.constant(np.float32(2))]),
    "channels": lambda b, x: b.node("add", [x, constant(b, 1, 8, 1, 1)]),
    "dense": lambda b, x: b.node("matmul", [b.node("flatten", [x], axis=1), constant(b, 288, 10)]),
    "softmax": lambda b, x: b.node("softmax", [x], axis=1),
    "pool": lambda b, x: b.node("global_average_pool", [x]),
    "concat": lambda b, x: b.node("concat", [x, x], axis=1),
    "transpose": lambda b, x: b.node("transpose", [x], perm=(0, 2, 3, 1)),
    "reshape": lambda b, x: b.node("reshape", [x, ints(b, 0, -1)]),
    "slice": lambda b, x: b.node("slice", [x, ints(b, 1), ints(b, 3), ints(b, 1)]),
    "attention": lambda b, x: b.node("matmul", [x, b.node("transpose", [x], perm=(0, 1, 3, 2))]),
}
MIXED = {
    "softmax over the batch": lambda b, x: b.node("softmax", [x], axis=0),
    "mean over the batch": lambda b, x: b.node("reduce_mean", [x, ints(b, 0)], keepdims=1),
    "concat of batches": lambda b, x: b.node("concat", [x, x], axis=0),
    "transposed": lambda b, x: b.node("transpose", [x], perm=(1, 0, 2, 3)),
    "image by image": lambda b, x: b.node("add", [x, constant(b, 4, 1, 1, 1)]),
    "part of the batch": lambda b, x: b.node("slice", [x, ints(b, 1), ints(b, 3), ints(b, 0)]),
    "another rank": lambda b, x: b.node("add", [x, constant(b, 2, 4, 8, 6, 6)]),
    "weights from the batch": lambda b, x: b.node("matmul", [constant(b, 4, 8, 6, 6), x]),
    "order of the batch": lambda b, x: b.node("gather", [x, ints(b, 3, 2, 1, 0)], axis=0),
}


@pytest.mark.parametrize("name", APART)
def test_images_apart(name):
    assert separable(APART[name])


@pytest.mark.parametrize("name", MIXED)
def test_images_mixed(name):
    assert not separable(MIXED[name])


def test_the_batch_must_be_in_front():
    assert not separable(APART["conv"], batch=8)


@pytest.mark.parametrize(
    ("batch", "threads", "size"),
    [(16, 2, 4), (16, 4, 2), (5, 2, 1), (6, 4, 1), (6, 2, 1), (7, 8, 1), (12, 4, 1), (2, 2, 1)],
)
def test_parts_keep_all_threads_busy(batch, threads, size):
    assert part_size(batch, threads) == size
    assert batch % size == 0
