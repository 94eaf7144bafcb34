"""Which rows may sum in fp16: those of a convolution, not those of its gradients."""

import numpy as np
import pytest

from thew.ir import GraphBuilder
from thew.passes.specialise import specialise
from thew.plan import KernelRow, Needs, Target, build_plan
from thew.plan.alternatives import candidates_of

FP16, FP32 = (
    KernelRow(f"winograd_{acc}_{isa}", "winograd", "4x4_3x3", "fp16", "fp16", acc, 0, 0, 1, isa)
    for acc, isa in (("fp16", "neon_fp16"), ("fp32", "neon"))
)
MOVE = KernelRow("move_strided_fp16_neon", "move", "strided", "fp16", "fp16", "fp16", 0, 0, 1, "neon")
TARGET = Target("board", ("neon_fp16", "neon"), 1, (FP16, FP32, MOVE), lambda step: Needs(0, 0, ()))
IMAGES, WEIGHTS = (1, 32, 28, 28), (32, 32, 3, 3)


def graph_of(op, shapes, **attributes):
    b = GraphBuilder(op)
    x = b.input("x", "fp16", shapes[0])
    other = b.constant(np.ones(shapes[1], np.float16))
    graph = b.graph([b.node(op, [x, other], "y", pads=(1, 1, 1, 1), **attributes)])
    return specialise(graph, {value.name: value.type for value in graph.inputs})


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "rows"),
    [
        ("conv", (IMAGES, WEIGHTS), {}, [FP16, FP32]),
        ("conv_grad_input", (IMAGES, WEIGHTS), {"input_shape": IMAGES}, [FP32]),
        ("conv_grad_weight", (IMAGES, IMAGES), {"kernel_shape": (3, 3)}, [FP32]),
    ],
)
def test_rows_that_sum_in_fp16_compute_no_gradients(op, shapes, attributes, rows):
    graph = graph_of(op, shapes, **attributes)
    ((candidate, found),) = candidates_of(graph, TARGET, graph.nodes[0])
    assert (candidate.algorithm, found) == ("4x4_3x3", rows)


def test_eight_lanes_are_taken_over_four():
    plan = build_plan(graph_of("conv", (IMAGES, WEIGHTS)), TARGET)
    assert plan.choices["y"].row == FP16.name
