"""Reduced precision: what runs on 16 bits, what stays in fp32, and the casts between."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from thew.dtypes import HALVES
from thew.errors import UnsupportedError
from thew.ir import Graph, GraphBuilder, print_graph, verify
from thew.ops.interpret import evaluate
from thew.passes.reduce_precision import reduce_precision
from thew.passes.specialise import specialise

fp16 = partial(reduce_precision, precision="fp16")
Read = Callable[[str], Graph]


def reduced(read_graph: Read, before: str, **how: Any) -> str:
    result = fp16(read_graph(before), **how)
    verify(result)
    return print_graph(result, data=True).split("{", 1)[1].rsplit("}", 1)[0]


def lines(text: str) -> list[str]:
    """Without the names that casts have."""
    return [re.sub(r'(to="\w+"}) "[^"]*"$', r"\1", line.strip()) for line in text.strip().splitlines()]


def specialised(graph: Graph) -> Graph:
    return specialise(graph, {value.name: value.type for value in graph.inputs})


def test_products_and_what_lies_between(read_graph: Read) -> None:
    """One cast in, one out; weights are constants of the reduced type; inner values keep their names."""
    text = reduced(
        read_graph,
        """
        graph g(%x: fp32[1,2]) -> (%z) {
          const %w: fp32[2,1] = [0.5, 0.25]
          %y: fp32[1,1] = matmul(%x, %w)
          %z: fp32[1,1] = relu(%y)
        }
        """,
    )
    assert lines(text) == [
        "const %w: fp32[2,1] = [0.5, 0.25]",
        'const %"w:fp16": fp16[2,1] = [0.5, 0.25]',
        '%"x:fp16": fp16[1,2] = cast(%x) {to="fp16"}',
        '%y: fp16[1,1] = matmul(%"x:fp16", %"w:fp16")',
        '%"z:fp16": fp16[1,1] = relu(%y)',
        '%z: fp32[1,1] = cast(%"z:fp16") {to="fp32"}',
    ]


def test_wide_ops_read_fp32_and_share_a_cast(read_graph: Read) -> None:
    text = reduced(
        read_graph,
        """
        graph g(%x: fp32[2]) -> (%a, %b) {
          %y: fp32[2] = tanh(%x)
          %a: fp32[2] = exp(%y)
          %b: fp32[2] = log(%y)
        }
        """,
    )
    assert lines(text)[1:] == [
        '%y: fp16[2] = tanh(%"x:fp16")',
        '%"y:fp32": fp32[2] = cast(%y) {to="fp32"}',
        '%a: fp32[2] = exp(%"y:fp32")',
        '%b: fp32[2] = log(%"y:fp32")',
    ]


def test_moves_follow_what_they_move(read_graph: Read) -> None:
    text = reduced(
        read_graph,
        """
        graph g(%x: fp32[2,3]) -> (%a, %b) {
          %t: fp32[3,2] = transpose(%x) {perm=[1,0]}
          %a: fp32[3,2] = exp(%t)
          %y: fp32[2,3] = tanh(%x)
          %u: fp32[3,2] = transpose(%y) {perm=[1,0]}
          %b: fp32[3,2] = relu(%u)
        }
        """,
    )
    assert "%t: fp32[3,2] = transpose(%x)" in text
    assert "%u: fp16[3,2] = transpose(%y)" in text


@pytest.mark.parametrize(
    "body",
    [
        # Other dtypes are none of its business.
        "%z: fp64[2] = relu(%d)",
        "%z: int64[2] = relu(%i)",
        # Integers, dequantised with a step of 1, are exact in fp32 alone.
        "%q: fp32[2] = dequantize_linear(%i8, %s)\n          %z: fp32[2] = relu(%q)",
        # A range that only fp32 holds.
        "%z: fp32[2] = exp(%x)",
        # Statistics have a type of their own.
        "%z: fp32[2,3,4] = layer_normalization(%m, %s4) {axis=-1}",
    ],
)
def test_leaves_alone(read_graph: Read, body: str) -> None:
    inputs = "%x: fp32[2], %d: fp64[2], %i: int64[2], %i8: int8[2], %m: fp32[2,3,4], %s4: fp32[4], %s: fp32[]"
    outputs = "(%z)"
    if "layer" in body:
        body, outputs = body.replace("%z: fp32[2,3,4]", "%z: fp32[2,3,4], %mean: fp32[2,3,1]"), "(%z, %mean)"
    graph = read_graph(f"graph g({inputs}) -> {outputs} {{\n          {body}\n        }}\n")
    assert fp16(graph) is graph


def test_keeps_nodes_by_name(read_graph: Read) -> None:
    text = reduced(
        read_graph,
        """
        graph g(%x: fp32[2]) -> (%z) {
          %y: fp32[2] = relu(%x)
          %z: fp32[2] = tanh(%y)
        }
        """,
        kept=["y"],
    )
    assert "%y: fp32[2] = relu(%x)" in text
    assert '= tanh(%"y:fp16")' in text


@pytest.mark.parametrize("precision", HALVES)
def test_rounds_tensors_only(precision: str) -> None:
    """Through two products, the error is that of rounding each tensor once: the sums are wider."""
    random = np.random.default_rng(5)
    builder = GraphBuilder("two")
    x = builder.input("x", "fp32", (3, 40))
    first = builder.constant(random.standard_normal((40, 50)).astype(np.float32), "first")
    second = builder.constant(random.standard_normal((50, 7)).astype(np.float32), "second")
    hidden = builder.node("relu", [builder.node("matmul", [x, first])])
    graph = specialised(builder.graph([builder.node("matmul", [hidden, second])]))
    feeds = {"x": random.standard_normal((3, 40)).astype(np.float32)}
    (exact,) = evaluate(graph, feeds).values()
    (got,) = evaluate(reduce_precision(graph, precision), feeds).values()
    assert got.dtype == np.float32
    assert not np.array_equal(got, exact)
    wide = [np.abs(array.astype(np.float64)) for array in (feeds["x"], graph.constants[first], graph.constants[second])]
    terms = wide[0] @ wide[1] @ wide[2]
    unit = 2.0 ** -(11 if precision == "fp16" else 8)
    assert np.all(np.abs(got - exact) <= 6 * unit * terms)  # x, first, the hidden tensor twice, second, the result


def test_overflow_is_infinite() -> None:
    builder = GraphBuilder("large")
    x = builder.input("x", "fp32", (2,))
    graph = specialised(builder.graph([builder.node("mul", [x, builder.constant(np.float32(300), "factor")])]))
    feeds = {"x": np.array([300, 200], np.float32)}
    assert next(iter(evaluate(fp16(graph), feeds).values())).tolist() == [np.inf, 60000]
    assert np.isfinite(next(iter(evaluate(reduce_precision(graph, "bf16"), feeds).values()))).all()


def test_refuses_other_precisions(read_graph: Read) -> None:
    graph = read_graph("graph g(%x: fp32[2]) -> (%y) {\n  %y: fp32[2] = relu(%x)\n}\n")
    with pytest.raises(UnsupportedError, match="must be one of fp16, bf16"):
        reduce_precision(graph, "fp64")


def test_biases_and_depthwise_weights_stay_wide(read_graph: Read) -> None:
    """They are added to sums, and weigh few products: rounded, they would show."""
    text = reduced(
        read_graph,
        """
        graph g(%x: fp32[1,2,1,1]) -> (%z) {
          const %w: fp32[2,1,1,1] = [0.5, 0.25]
          const %b: fp32[2] = [1, 2]
          const %v: fp32[1,2,1,1] = [0.5, 0.25]
          %y: fp32[1,2,1,1] = conv(%x, %w, %b) {group=2}
          %z: fp32[1,1,1,1] = conv(%y, %v)
        }
        """,
    )
    convolutions = [line for line in lines(text) if "conv(" in line]
    assert convolutions == [
        '%y: fp16[1,2,1,1] = conv(%"x:fp16", %w, %b) {group=2}',
        '%"z:fp16": fp16[1,1,1,1] = conv(%y, %"v:fp16")',
    ]


def test_ends_stay_wide_where_something_lies_between(read_graph: Read) -> None:
    text = reduced(
        read_graph,
        """
        graph g(%x: fp32[1,1]) -> (%z) {
          const %w: fp32[1,1] = [0.5]
          %n: fp32[1,1] = neg(%x)
          %a: fp32[1,1] = matmul(%n, %w)
          %b: fp32[1,1] = relu(%a)
          %c: fp32[1,1] = matmul(%b, %w)
          %d: fp32[1,1] = matmul(%c, %w)
          %z: fp32[1,1] = softmax(%d)
        }
        """,
    )
    assert [line.split(" = ")[0] for line in lines(text) if " = " in line and "cast" not in line][2:] == [
        "%n: fp32[1,1]", "%a: fp32[1,1]", "%b: fp16[1,1]", "%c: fp16[1,1]", "%d: fp32[1,1]", "%z: fp32[1,1]",
    ]  # fmt: skip


@pytest.mark.parametrize(("precision", "size", "last"), [("fp16", 4, "fp16"), ("fp16", 2, "fp32"), ("bf16", 4, "fp32")])
def test_a_last_product_that_is_averaged_is_reduced_in_fp16(
    read_graph: Read, precision: str, size: int, last: str
) -> None:
    """Of 16 elements and more; the average itself is fp32."""
    text = print_graph(
        reduce_precision(
            read_graph(f"""
            graph g(%x: fp32[1,1,{size},{size}]) -> (%z) {{
              const %w: fp32[1,1,1,1] = [0.5]
              %a: fp32[1,1,{size},{size}] = conv(%x, %w)
              %b: fp32[1,1,{size},{size}] = conv(%a, %w)
              %c: fp32[1,1,{size},{size}] = conv(%b, %w)
              %d: fp32[1,1,{size},{size}] = relu(%c)
              %z: fp32[1,1,1,1] = global_average_pool(%d)
            }}
            """),
            precision,
        )
    )
    types = dict(re.findall(r"^ *%(\w): (\w+)\[", text, re.MULTILINE))
    assert types == {"a": "fp32", "b": precision, "c": last, "d": last, "z": "fp32"}


@pytest.mark.parametrize("precision", HALVES)
def test_errors_of_a_filters_weights_add_up_to_less_than_one(precision: str) -> None:
    """Each weight is within a step, and their sum within half a step of the largest: rounded alone, it would be 8."""
    rng = np.random.default_rng(0)
    weights = {"conv": rng.uniform(0.5, 1, (7, 12, 3, 3)), "matmul": rng.uniform(0.5, 1, (108, 7))}
    b = GraphBuilder("g")
    x, y = b.input("x", "fp32", (1, 12, 5, 5)), b.input("y", "fp32", (2, 108))
    outputs = [
        b.node("conv", [x, b.constant(weights["conv"].astype(np.float32), "conv")]),
        b.node("matmul", [y, b.constant(weights["matmul"].astype(np.float32), "matmul")]),
    ]
    graph = reduce_precision(specialised(b.graph(outputs)), precision)
    step = {"fp16": 2.0**-11, "bf16": 2.0**-8}[precision]  # between neighbours from a half to one
    for op, axes in (("conv", (1, 2, 3)), ("matmul", (0,))):
        (narrow,) = (a for name, a in graph.constants.items() if name.startswith(op) and a.dtype.itemsize == 2)
        errors = narrow.astype(np.float64) - weights[op].astype(np.float32)
        assert np.abs(errors).max() <= step
        assert np.abs(errors.sum(axes)).max() <= step / 2 * (1 + 1e-3)


def test_weights_that_overflow_carry_nothing_on(read_graph: Read) -> None:
    text = reduced(
        read_graph,
        """
        graph g(%x: fp32[1,3]) -> (%y) {
          const %w: fp32[3,1] = [1e6, 1.0, 2.0]
          %y: fp32[1,1] = matmul(%x, %w)
        }
        """,
    )
    assert "fp16[3,1] = [inf, 1.0, 2.0]" in text
