"""Every pass keeps what a graph computes: random graphs, run by the NumPy references before and after.

All steps are at most 1-Lipschitz in each operand (weights have rows of 1-norm at most 1), so that in fp64 an error
grows at most by the number of operands of each step; the tolerance follows from that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import thew
from thew.dtypes import from_numpy
from thew.ir import Graph, GraphBuilder, Node, TensorType, parse_graph, print_graph, verify
from thew.ops.interpret import evaluate
from thew.passes import LOAD, SPECIALISED, Pass, run, specialise
from thew.passes.infer import infer_node

MAX_STEPS = 12
LONGEST_SUM = 8 * 9
BATCH = 2


class Writer:
    """Builds a random graph, with the static shape of every value at hand; the batch is symbolic in the graph."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.builder = GraphBuilder("random")
        self.random = np.random.default_rng(self.number(0, 2**32 - 1))
        self.values: list[tuple[str, tuple[int, ...]]] = []
        self.types: dict[str, TensorType] = {}
        self.arrays: dict[str, Any] = {}

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def choice(self, items: Any) -> Any:
        return self.draw(st.sampled_from(list(items)))

    def input(self, *shape: int) -> str:
        symbolic = ("n", *shape[1:])
        name = self.builder.input("x", "fp64", symbolic)
        self.types[name] = TensorType("fp64", shape)
        self.values.append((name, shape))
        return name

    def constant(self, array: Any) -> str:
        name = self.builder.constant(np.asarray(array))
        self.arrays[name] = np.asarray(array)
        self.types[name] = TensorType(from_numpy(np.asarray(array).dtype), np.asarray(array).shape)
        return name

    def uniform(self, *shape: int) -> Any:
        return self.random.uniform(-1, 1, shape)

    def weight(self, *shape: int, sums: tuple[int, ...]) -> str:
        array = self.uniform(*shape)
        return self.constant(array / np.abs(array).sum(axis=sums, keepdims=True))

    def node(self, op: str, *inputs: str, keep: bool = True, **attributes: Any) -> str:
        name = self.builder.node(op, inputs, **attributes)
        node = Node(op, inputs, (name,), attributes, name)
        types = [self.types.get(value) for value in inputs]
        found = infer_node(node, types, [self.arrays.get(value) for value in inputs])[0]
        assert found is not None
        self.types[name] = found
        if keep and found.dtype == "fp64" and found.is_static:
            self.values.append((name, found.static_shape))
        return name

    def pick(self, rank: int | None = None) -> tuple[str, tuple[int, ...]] | None:
        """A value, the latest ones more likely."""
        fitting = [value for value in self.values if rank is None or len(value[1]) == rank]
        return None if not fitting else fitting[-1 - min(self.number(0, 4), len(fitting) - 1)]


def _conv(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    group = w.choice([1, shape[1]])
    kernel = w.number(1, min(3, *shape[2:]))
    oc = group * w.number(1, 2) if group > 1 else w.number(1, 8)
    bias = [w.constant(w.uniform(oc))] if w.number(0, 1) else []
    pad, stride = w.number(0, kernel - 1), w.number(1, 2)
    weight = w.weight(oc, shape[1] // group, kernel, kernel, sums=(1, 2, 3))
    y = w.node("conv", x, weight, *bias, group=group, pads=(pad,) * 4, strides=(stride,) * 2, dilations=(1, 1))
    _affine(w, y, w.types[y].static_shape)


def _conv_transpose(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    group, oc = w.choice([1, shape[1]]), w.number(1, 3)
    array = w.uniform(shape[1], oc, 2, 2) / (4 * shape[1])
    y = w.node("conv_transpose", x, w.constant(array), group=group, strides=(2, 2))
    _affine(w, y, w.types[y].static_shape)


def _affine(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    kind = w.choice(["none", "batch_normalization", "mul", "add", "sub", "div", "scalar"])
    c = shape[1]
    if kind == "batch_normalization":
        parameters = [w.constant(a) for a in (w.uniform(c), w.uniform(c), w.uniform(c), w.random.uniform(1, 2, c))]
        w.node(kind, x, *parameters, epsilon=1e-3)
    elif kind in ("mul", "add", "sub"):
        w.node(kind, *w.draw(st.permutations([x, w.constant(w.uniform(c, 1, 1))])))
    elif kind == "div":
        w.node("div", x, w.constant(w.random.uniform(1, 2, (1, c, 1, 1))))
    elif kind == "scalar":
        w.node(w.choice(["add", "mul"]), x, w.constant(w.choice([0.0, 1.0, 0.5])))


def _activation(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    kind = w.choice(
        ["relu", "clip", "leaky_relu", "sigmoid", "tanh", "elu", "hard_sigmoid", "silu", "hard_swish", "gelu"]
    )
    if kind == "clip":
        bounds = [w.constant(0.0), w.constant(6.0)]
        w.node("clip", x, *w.choice([bounds, bounds[:1], ["", bounds[1]]]))
    elif kind == "silu":
        gate = w.node("sigmoid", x, keep=w.choice([True, False]))
        w.node("mul", *w.draw(st.permutations([x, gate])))
    elif kind == "hard_swish":
        gate = w.node("hard_sigmoid", x, keep=False, alpha=1 / 6, beta=0.5)
        w.node("mul", x, gate)
    elif kind == "hard_sigmoid":
        shifted = w.node(
            "clip", w.node("add", x, w.constant(3.0), keep=False), w.constant(0.0), w.constant(6.0), keep=False
        )
        if w.number(0, 1):
            w.node("div", shifted, w.constant(6.0))
        else:
            w.node("div", w.node("mul", x, shifted, keep=False), w.constant(6.0))
    elif kind == "gelu":
        gate = w.node("erf", w.node("div", x, w.constant(np.sqrt(2.0)), keep=False), keep=False)
        shifted = w.node("add", gate, w.constant(1.0), keep=False)
        w.node("mul", w.node("mul", x, shifted, keep=False), w.constant(0.5))
    else:
        w.node(kind, x)


def _join(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    same = [name for name, other in w.values if other == shape]
    kind = w.choice(["add", "mul_bounded", "sum", "mean", "max", "concat", "min"])
    others = [w.choice(same) for _ in range(w.number(1, 3))]
    if kind == "mul_bounded":
        w.node("mul", w.node("tanh", x, keep=False), w.node("sigmoid", others[0], keep=False))
    elif kind == "add":
        total = w.node("add", *w.draw(st.permutations([x, others[0]])), keep=w.choice([True, False]))
        if w.number(0, 1):
            w.node("relu", total)
    elif kind == "concat":
        if len(shape) and w.types[x].static_shape[-1] <= 8:
            w.node("concat", x, *others, axis=w.choice([-1, len(shape) - 1]))
    else:
        w.node(kind, x, *others)


def _layout(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    kind = w.choice(
        ["transpose", "there_and_back", "reshape", "flatten", "unsqueeze", "squeeze", "shape_chain", "default"]
    )
    if kind == "default":
        w.node("transpose", x)
    elif kind == "transpose":
        w.node("transpose", x, perm=tuple(w.draw(st.permutations(range(len(shape))))))
    elif kind == "twice":
        y = w.node("transpose", x, perm=tuple(w.draw(st.permutations(range(len(shape))))), keep=False)
        w.node("transpose", y, perm=tuple(w.draw(st.permutations(range(len(shape))))))
    elif kind == "there_and_back":
        perm = tuple(w.draw(st.permutations(range(len(shape)))))
        y = w.node("transpose", x, perm=perm, keep=w.choice([True, False]))
        for _ in range(w.number(0, 2)):
            operand = w.choice(["relu", "add_constant", "add_vector", "concat"])
            if operand == "relu":
                y = w.node("relu", y, keep=False)
            elif operand == "concat" and shape:
                y = w.node(
                    "concat", y, w.constant(w.uniform(*w.types[y].static_shape)), axis=len(shape) - 1, keep=False
                )
            else:
                extents = w.types[y].static_shape if operand == "add_constant" else w.types[y].static_shape[-1:]
                y = w.node("add", y, w.constant(w.uniform(*extents)), keep=False)
        w.node("transpose", y, perm=tuple(perm.index(axis) for axis in range(len(shape))))
    elif kind == "reshape" and len(shape) >= 2:
        y = w.node("reshape", x, w.constant([0, -1]), keep=w.choice([True, False]))
        w.node("reshape", y, w.constant([-1, *shape[1:]]))
    elif kind == "flatten" and shape:
        w.node("flatten", x, axis=w.number(0, len(shape)))
    elif kind == "unsqueeze" and len(shape) < 5:
        w.node("unsqueeze", x, w.constant([w.number(0, len(shape))]))
    elif kind == "squeeze" and 1 in shape[1:]:
        w.node("squeeze", x, w.constant([shape.index(1, 1)]))
    elif kind == "shape_chain" and len(shape) >= 2:
        batch = w.node("gather", w.node("shape", x), w.constant([0]), axis=0)
        w.node("reshape", x, w.node("concat", batch, w.constant([-1]), axis=0))


def _no_op(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    kind = w.choice(["identity", "dropout", "cast", "concat", "expand", "slice", "pad"])
    if kind == "cast":
        w.node("cast", x, to="fp64")
    elif kind == "pad":
        w.node("pad", x, w.constant(np.zeros(2 * len(shape), np.int64)))
    elif kind == "concat":
        w.node("concat", x, axis=0)
    elif kind == "expand":
        w.node("expand", x, w.constant(np.ones(len(shape), np.int64)))
    elif kind == "slice" and shape:
        w.node("slice", x, w.constant([0]), w.constant([100]), w.constant([len(shape) - 1]))
    else:
        w.node("identity" if kind == "slice" else kind, x)


def _pool(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    kind = w.choice(["max_pool", "average_pool", "global_average_pool", "conv"])
    if kind == "global_average_pool":
        w.node(kind, x)
        return
    filler = -np.inf if kind == "max_pool" else 0.0
    kernel = min(2, *shape[2:])
    # A window of -inf alone would give -inf, which spelt-out activations turn into NaN, and named ones do not.
    spatial = [w.number(0, 1 if kernel == 2 or kind != "max_pool" else 0) for _ in range(4)]
    form = w.choice(["full", "axes"])
    pads = w.constant([0, 0, *spatial[:2], 0, 0, *spatial[2:]] if form == "full" else spatial)
    padded = w.node("pad", x, pads, w.constant(filler), *([w.constant([2, -1])] if form == "axes" else []), keep=False)
    if kind == "conv":
        w.node("conv", padded, w.weight(3, shape[1], 1, 1, sums=(1, 2, 3)), pads=(0, 1, 0, 1))
    else:
        pad = w.number(0, 1) if kernel == 2 and kind != "max_pool" else 0
        extra = {"count_include_pad": w.number(0, 1)} if kind == "average_pool" else {}
        w.node(kind, padded, kernel_shape=(kernel, kernel), pads=(pad,) * 4, ceil_mode=w.number(0, 1), **extra)


def _product(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    k, n = shape[-1], w.number(1, 6)
    kind = w.choice(["gemm", "matmul", "matmul"]) if len(shape) == 2 else "matmul"
    if kind == "gemm":
        transposed = w.number(0, 1)
        b = w.weight(n, k, sums=(1,)) if transposed else w.weight(k, n, sums=(0,))
        addend = [w.constant(w.uniform(*w.choice([(n,), (1, n), ()])))] if w.number(0, 1) else []
        w.node("gemm", x, b, *addend, transB=transposed, alpha=w.choice([1.0, 0.5]), beta=w.choice([1.0, 0.5, 0.0]))
        return
    y = w.node("matmul", x, w.weight(k, n, sums=(0,)), keep=w.choice([True, False]))
    if w.number(0, 1):
        w.node("add", *w.draw(st.permutations([y, w.constant(w.uniform(n))])))


def _block(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    """A residual block, its product a convolution or, over the last axis, a matmul."""
    if len(shape) == 4 and w.number(0, 3):
        weight = w.weight(shape[1], shape[1], 3, 3, sums=(1, 2, 3))
        y = w.node("conv", x, weight, pads=(1,) * 4, keep=False)
    else:
        y = w.node("matmul", x, w.weight(shape[-1], shape[-1], sums=(0,)), keep=False)
    y = w.node("add", *w.draw(st.permutations([x, y])), keep=not w.number(0, 3))
    _activation(w, y, shape)


def _classifier(w: Writer, x: str, shape: tuple[int, ...]) -> None:
    flat = w.node("flatten", x, keep=False)
    _product(w, flat, w.types[flat].static_shape)


STEPS: tuple[tuple[Callable[[Writer, str, tuple[int, ...]], None], int | None], ...] = (
    *(
        (_conv, 4),
        (_conv_transpose, 4),
        (_affine, 4),
        (_activation, None),
        (_activation, None),
        (_block, 4),
        (_block, 3),
    ),
    *((_join, None), (_layout, None), (_layout, None), (_no_op, None), (_pool, 4), (_product, 3), (_classifier, 4)),
)


@st.composite
def graphs(draw: Any) -> tuple[Graph, dict[str, Any]]:
    """A graph with arrays for its inputs."""
    w = Writer(draw(st.data()))
    for _ in range(w.number(1, 2)):
        w.input(BATCH, w.number(1, 4), w.number(3, 6), w.number(3, 6))
    for _ in range(w.number(1, MAX_STEPS)):
        step, rank = w.choice(STEPS)
        picked = w.pick(rank)
        if picked is not None and np.prod(picked[1]) <= 4096 and (step is not _pool or min(picked[1][2:]) > 0):
            step(w, *picked)
    outputs = {w.values[-1][0], *(w.choice(w.values)[0] for _ in range(w.number(0, 2)))}
    graph = w.builder.graph(sorted(outputs))
    return graph, {value.name: w.random.standard_normal(w.types[value.name].static_shape) for value in graph.inputs}


def all_values(graph: Graph, inputs: dict[str, Any]) -> dict[str, Any]:
    """Every value of a graph."""
    names = {output for node in graph.nodes for output in node.outputs if output} | set(graph.outputs)
    return evaluate(graph.replace(outputs=tuple(names)), inputs)


def assert_same(before: Graph, after: Graph, inputs: dict[str, Any]) -> None:
    verify(after)
    assert after.outputs == before.outputs
    expected, got = all_values(before, inputs), evaluate(after, inputs)
    largest = max([1.0, *(np.abs(a[np.isfinite(a)]).max(initial=0) for a in expected.values() if a.dtype.kind == "f")])
    # Each of the steps (and of the nodes a step is made of) doubles an error at most and adds a rounding of its sum.
    tolerance = np.finfo(np.float64).eps * LONGEST_SUM * 2**MAX_STEPS * largest
    for name in before.outputs:
        assert got[name].dtype == expected[name].dtype
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=tolerance, err_msg=name)


def types_of(inputs: dict[str, Any]) -> dict[str, TensorType]:
    return {name: TensorType("fp64", array.shape) for name, array in inputs.items()}


def assert_types_hold(graph: Graph, inputs: dict[str, Any]) -> None:
    for name, array in all_values(graph, inputs).items():
        assert graph.type_of(name) == TensorType(from_numpy(array.dtype), array.shape), name


def check(drawn: tuple[Graph, dict[str, Any]], passes: tuple[Pass, ...], is_specialised: bool) -> None:
    graph, inputs = drawn
    before = specialise(graph, types_of(inputs)) if is_specialised else graph
    after = run(before, passes)
    assert_same(graph, after, inputs)
    if is_specialised:
        assert_types_hold(after, inputs)


STANDARD = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
EVERY_PASS = sorted({rewrite.__name__: rewrite for rewrite in (*LOAD, *SPECIALISED)}.items())


@pytest.mark.parametrize(("name", "rewrite"), EVERY_PASS)
@STANDARD
@given(drawn=graphs(), is_specialised=st.booleans())
def test_pass_keeps_outputs(
    name: str, rewrite: Pass, drawn: tuple[Graph, dict[str, Any]], is_specialised: bool
) -> None:
    check(drawn, (rewrite,), is_specialised)


@STANDARD
@given(drawn=graphs())
def test_pipelines_keep_outputs(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = drawn
    loaded = run(graph, LOAD)
    assert_same(graph, loaded, inputs)
    final = run(specialise(loaded, types_of(inputs)), SPECIALISED)
    assert_same(graph, final, inputs)
    assert_types_hold(final, inputs)


@STANDARD
@given(drawn=graphs())
def test_specialise_knows_every_type(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = drawn
    assert_types_hold(specialise(graph, types_of(inputs)), inputs)


@STANDARD
@given(drawn=graphs())
def test_text_keeps_outputs(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = drawn
    again = parse_graph(print_graph(graph, data=True))
    for name, array in evaluate(again, inputs).items():
        np.testing.assert_array_equal(array, evaluate(graph, inputs)[name])


ATTRIBUTES = (
    *("activation", "activation_parameters", "allowzero", "alpha", "auto_pad", "axis", "ceil_mode", "epsilon", "group"),
    *("keepdims", "kernel_shape", "mode", "pads", "perm", "strides", "to", "transB"),
)
WRONG = (0, -1, 2**62, 0.5, float("nan"), "", "fp32", True, (), (1,), (-1, -1), (2**40,) * 4, ("a",), np.zeros(2))


@st.composite
def damaged(draw: Any) -> tuple[Graph, dict[str, Any]]:
    """A random graph of which one node is not as it should be."""
    graph, inputs = draw(graphs())
    nodes, constants = list(graph.nodes), dict(graph.constants)
    if not nodes:
        return graph, inputs
    at = draw(st.integers(0, len(nodes) - 1))
    node, sources = nodes[at], list(nodes[at].inputs)
    kind = draw(st.sampled_from(["attribute", "op", "drop", "absent", "insert", "constant"]))
    if kind == "attribute":
        node = node.with_attributes(**{draw(st.sampled_from(ATTRIBUTES)): draw(st.sampled_from(WRONG))})
    elif kind == "op":
        node = node.replace(
            op=draw(st.sampled_from(sorted({other.op for other in nodes} | {"gemm", "prelu", "split"})))
        )
    elif kind == "constant" and constants:
        name = draw(st.sampled_from(sorted(constants)))
        a = constants[name]
        wrong = [a[None], a.reshape(-1)[:1], np.zeros(0, a.dtype), np.array(np.inf), np.array(["x"], object), a + 2**40]
        constants[name] = draw(st.sampled_from(wrong))
    elif kind == "insert":
        sources.insert(draw(st.integers(0, len(sources))), draw(st.sampled_from(sorted(constants) or [""])))
    elif sources:
        place = draw(st.integers(0, len(sources) - 1))
        sources[place : place + 1] = [""] if kind == "absent" else []
    nodes[at] = node.replace(inputs=tuple(sources))
    return graph.replace(nodes=tuple(nodes), constants=constants), inputs


@settings(STANDARD, max_examples=100)
@given(drawn=damaged())
def test_damaged_graphs_raise_typed_errors_at_most(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = drawn
    try:
        verify(run(specialise(run(graph, LOAD), types_of(inputs)), SPECIALISED))
    except thew.Error as error:
        assert str(error)


@pytest.mark.slow
@settings(STANDARD, max_examples=3000, derandomize=False)
@given(drawn=graphs())
def test_pipelines_keep_outputs_at_length(drawn: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = drawn
    final = run(specialise(run(graph, LOAD), types_of(inputs)), SPECIALISED)
    assert_same(graph, final, inputs)
    assert_types_hold(final, inputs)
