"""print_graph and parse_graph: golden text, round trips of random graphs, and what bad text says."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thew.dtypes import NATIVE, to_numpy
from thew.errors import ModelError
from thew.ir import Graph, GraphBuilder, Node, TensorType, Value, parse_graph, print_graph


def same_array(a: Any, b: Any) -> bool:
    if a.dtype == object or b.dtype == object:
        return a.shape == b.shape and a.dtype == b.dtype and a.tolist() == b.tolist()
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def same_attribute(a: Any, b: Any) -> bool:
    if isinstance(a, Graph):
        return isinstance(b, Graph) and same_graph(a, b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and same_array(a, b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same_attribute, a, b))
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


def same_graph(a: Graph, b: Graph) -> bool:
    """Equality in every field, of arrays bit by bit."""
    if (a.name, a.inputs, a.outputs, dict(a.types)) != (b.name, b.inputs, b.outputs, dict(b.types)):
        return False
    if list(a.constants) != list(b.constants) or len(a.nodes) != len(b.nodes):
        return False
    if not all(same_array(a.constants[name], b.constants[name]) for name in a.constants):
        return False
    return all(
        (one.op, one.inputs, one.outputs, one.name, list(one.attributes))
        == (two.op, two.inputs, two.outputs, two.name, list(two.attributes))
        and all(same_attribute(one.attributes[key], two.attributes[key]) for key in one.attributes)
        for one, two in zip(a.nodes, b.nodes, strict=True)
    )


# Half of the names are plain, half are anything that JSON can hold (a lone surrogate is not text).
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z_/][A-Za-z0-9_./]{0,6}", fullmatch=True),
    st.sampled_from(
        ["_", "...", "inf", "nan", "1e5", "-1", "const", "graph", "true", "tensor", "base64", "1.2.3", "0"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
)
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
TYPES = st.builds(
    TensorType,
    st.sampled_from([*NATIVE, "string", "complex64", "opaque"]),
    st.one_of(st.none(), st.lists(st.one_of(st.integers(0, 10**12), NAMES), max_size=3).map(tuple)),
)


@st.composite
def arrays(draw: Any) -> Any:
    """An array of any dtype and any bits, subnormals, infinities and odd NaNs among them."""
    dtype, shape = (
        draw(st.sampled_from([*NATIVE, "complex64", "complex128", "int4", "fp8e5m2", "string"])),
        draw(SHAPES),
    )
    if dtype == "string":
        texts = draw(st.lists(st.text(max_size=3), min_size=math.prod(shape), max_size=math.prod(shape)))
        return np.array(texts, object).reshape(shape)
    if dtype in ("bool", "int4"):
        numbers = draw(st.lists(st.integers(0, 1), min_size=math.prod(shape), max_size=math.prod(shape)))
        return np.array(numbers).astype(to_numpy(dtype)).reshape(shape)
    count = math.prod(shape) * to_numpy(dtype).itemsize
    return np.frombuffer(draw(st.binary(min_size=count, max_size=count)), to_numpy(dtype)).reshape(shape)


SCALARS = (st.integers(-(2**63), 2**63), st.floats(), st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
ATTRIBUTES = st.one_of(*SCALARS, *(st.lists(scalar, max_size=4).map(tuple) for scalar in SCALARS), arrays())


@st.composite
def graphs(draw: Any, depth: int = 1) -> Graph:
    """A graph whose text has all there is; ops mean nothing here."""
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=12))
    taken = iter(names)
    inputs = tuple(Value(name, draw(TYPES)) for name, _ in zip(taken, range(draw(st.integers(0, 2))), strict=False))
    constants = {name: draw(arrays()) for name, _ in zip(taken, range(draw(st.integers(0, 3))), strict=False)}
    values = st.one_of(st.just(""), st.sampled_from(names))
    attributes = ATTRIBUTES if depth == 0 else st.one_of(ATTRIBUTES, graphs(depth=depth - 1))
    nodes, types = [], {}
    for name in taken:
        if draw(st.booleans()):
            types[name] = draw(TYPES)
        given_attributes = draw(st.dictionaries(NAMES, attributes, max_size=3))
        outputs = draw(st.sampled_from([(name,), (name, ""), ("", name)]))
        label = draw(st.one_of(st.just(""), NAMES))
        nodes.append(Node(draw(NAMES), tuple(draw(st.lists(values, max_size=3))), outputs, given_attributes, label))
    outputs = tuple(draw(st.lists(st.sampled_from(names), max_size=2)))
    return Graph(draw(NAMES), inputs, outputs, tuple(nodes), constants, types)


@given(graphs())
def test_round_trip(graph: Graph) -> None:
    assert same_graph(parse_graph(print_graph(graph, data=True)), graph)
    assert same_graph(parse_graph(print_graph(graph), graph.constants), graph)


def test_golden() -> None:
    builder = GraphBuilder("lenet5")
    x = builder.input("x", "fp32", ("batch size", 1, 28, "w"))
    w = builder.constant(np.arange(150, dtype=np.float32).reshape(6, 1, 5, 5), "conv.weight")
    small = builder.constant(np.array([1, 0.1, -np.inf, np.nan], np.float32), "odd:name")
    y = builder.node("conv", [x, w, "", small], "conv1", strides=(1, 2), auto_pad="VALID", alpha=1.0, beta=2, flag=True)
    graph = builder.graph([y]).replace(types={y: TensorType("fp32", None)})
    assert print_graph(graph) == (
        'graph lenet5(%x: fp32["batch size",1,28,w]) -> (%conv1) {\n'
        # Checked with perl -e 'print pack("f<*", 0..149)' | sha256sum.
        "  const %conv.weight: fp32[6,1,5,5] = sha256:259859da0131efb9\n"
        '  const %"odd:name": fp32[4] = [1.0, 0.1, -inf, nan]\n'
        '  %conv1: fp32[...] = conv(%x, %conv.weight, _, %"odd:name") '
        '{strides=[1, 2], auto_pad="VALID", alpha=1.0, beta=2, flag=true} "conv1"\n'
        "}\n"
    )


def test_comments_and_white_space_do_not_matter() -> None:
    text = "# a net\n graph g ( % x : fp32 [ 2 , n ] ) -> ( %y ) { # body\n\t%y=relu(%x)\n}"
    graph = parse_graph(text)
    assert graph.inputs == (Value("x", TensorType("fp32", (2, "n"))),)
    assert [str(node) for node in graph.nodes] == ["relu 'y'"]


def test_large_constants_are_known_by_digest() -> None:
    array = np.arange(100, dtype=np.int32)
    text = print_graph(Graph("g", (), ("c",), (), {"c": array}))
    assert same_array(parse_graph(text, {"c": array}).constants["c"], array)
    with pytest.raises(ModelError, match=r"line 2, column 26: constant 'c' is known by its digest only"):
        parse_graph(text)
    for other in (array + 1, array.astype(np.int64), array.reshape(10, 10)):
        with pytest.raises(ModelError, match=r"constant 'c' must be .* with digest"):
            parse_graph(text, {"c": other})


def test_constants_cannot_be_written_to() -> None:
    graph = parse_graph("graph g() -> (%c) {\n const %c: fp32[1] = [1.0]\n}\n")
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["c"][0] = 2


def test_bfloat16_reads_back_from_its_shortest_decimal() -> None:
    array = np.array([0.1, 3.14159, 1e30], ml_dtypes.bfloat16)
    assert same_array(parse_graph(print_graph(Graph("g", (), ("c",), (), {"c": array}))).constants["c"], array)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1, column 1: must be 'graph', got 'the end'"),
        ("graph g() -> () {\n  ?\n}", r"line 2, column 3: a token must start here, got '\?'"),
        ("graph g() -> () {", r"line 1, column 18: must be '%', got 'the end'"),
        ("graph g() -> () {\n} x", r"line 2, column 3: must end after the graph, got 'x'"),
        ("graph g(%x: fp32[2) -> () {\n}", r"line 1, column 19: must be ',' or '\]', got '\)'"),
        ("graph g(%x) -> () {\n}", r"line 1, column 11: must be ':', got '\)'"),
        ("graph g() -> () {\n  %y = relu(%x {}\n}", r"line 2, column 16: must be ',' or '\)', got '\{'"),
        ("graph g() -> () {\n  %y = relu() {a=}\n}", r"line 2, column 18: must be an attribute: .* got '\}'"),
        ("graph g() -> () {\n  const %c: fp33[1] = [1.0]\n}", r"line 2, column 13: dtype 'fp33'"),
        (
            "graph g() -> () {\n  const %c: fp32[n] = [1.0]\n}",
            r"line 2, column 13: the type of a constant must have numbers",
        ),
        (
            "graph g() -> () {\n  const %c: fp32[-1] = []\n}",
            r"line 2, column 13: the type of a constant must have numbers",
        ),
        ("graph g() -> () {\n  const %c: fp32[2] = [1.0]\n}", r"line 2, column 23: .* must be a list of 2 elements"),
        ("graph g() -> () {\n  const %c: int8[1] = [300]\n}", r"line 2, column 23: elements must be of int8"),
        ('graph g() -> () {\n  const %c: int8[1] = ["a"]\n}', r"line 2, column 23: elements must be of int8"),
        ("graph g() -> () {\n  const %c: fp32[1] = base64:AAA\n}", r"line 2, column 23: data must be base64"),
        (
            "graph g() -> () {\n  const %c: fp32[1] = base64:AAAA\n}",
            r"column 23: data of fp32\[1\] must have 4 bytes, got 3",
        ),
        (
            "graph g() -> () {\n  const %c: fp32[0] = []\n  const %c: fp32[0] = []\n}",
            r"line 3, column 9: .* defined once",
        ),
        ('graph "\\q"() -> () {\n}', r"line 1, column 7: text must be quoted as in JSON"),
        ("graph g(%x: fp32[1.5]) -> () {\n}", r"line 1, column 18: must be an integer, got '1.5'"),
        ("graph g() -> () {\n  %y = f() {a=" + "9" * 5000 + "}\n}", r"line 2, column 15: must be an integer, got '999"),
        ("graph g() -> () {\n  %y = f() {a=" + "[" * 5000 + "}\n}", r"may nest 64 deep at most"),
        ("graph g() -> () {\n  const %c: fp32[99999999999,99999999999] = []\n}", r"must be a list of"),
    ],
)
def test_bad_text_says_where(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_graph(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(list('{}()[]%,:="-> graph_1.0\n')))
def test_damaged_text_never_fails_otherwise(at: int, length: int, inserted: str) -> None:
    """Whatever is cut out and put in, the parser accepts the text or raises ModelError."""
    builder = GraphBuilder("g")
    x = builder.input("x", "fp32", ("n", 4))
    c = builder.constant(np.array([1.5, 2.5, 3.5, 4.5], np.float16))
    inner = Graph("inner", (), ("x",), ())
    text = print_graph(builder.graph([builder.node("op", [x, c], a=(1, 2), b=1.0, c="t", d=np.arange(3), e=inner)]))
    at %= len(text)
    damaged = text[:at] + inserted + text[at + length % 8 :]
    try:
        parse_graph(damaged)
    except ModelError as error:
        assert "line " in str(error)
