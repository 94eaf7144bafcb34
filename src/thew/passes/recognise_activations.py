"""Finds activations that exporters spell out in arithmetic, so that they become one node and then an epilogue.

x · sigmoid(x) is silu, x · hard_sigmoid(x; 1/6, 1/2) hard_swish, x · tanh(softplus(x)) mish, clip(x + 3, 0, 6) / 6
hard_sigmoid, x · (1 + erf(x / √2)) / 2 gelu, and prelu with one constant slope leaky_relu.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import sqrt

from thew.dtypes import FLOATS, from_numpy
from thew.ir import Graph, Node
from thew.ops import attribute
from thew.passes.editor import Editor

_EPSILON = {"fp64": 2.0**-52, "fp32": 2.0**-23, "fp16": 2.0**-10, "bf16": 2.0**-7}
_ATTRIBUTE = 2.0**-22  # relative tolerance of attributes such as 1/6, which ONNX holds in fp32


def recognise_activations(graph: Graph) -> Graph:
    """The graph with activations by name."""
    editor = Editor(graph)
    for node in editor.walk():
        for rule in RULES.get(node.op, ()):
            found = rule(editor, node)
            if found is not None:
                found = found.replace(outputs=node.outputs, name=node.name)
                editor.put(node, found)
                _drop_unread(editor, node)
                break
    return editor.graph()


def _drop_unread(editor: Editor, node: Node) -> None:
    """Takes out what only the replaced node read, so that counts of reads stay right."""
    for name in node.inputs:
        source = editor.producer(name) if name else None
        if source is None or any(editor.reads(output) or output in editor.pinned for output in source.outputs):
            continue
        editor.drop(source)
        _drop_unread(editor, source)


def _scalar(editor: Editor, name: str) -> float | None:
    """A floating-point constant of one element."""
    array = editor.constant(name)
    return editor.number(name) if array is not None and from_numpy(array.dtype) in FLOATS else None


def _is(editor: Editor, name: str, value: float) -> bool:
    """Whether a constant is this number, as its dtype rounds it, give or take the last bit."""
    found = _scalar(editor, name)
    if found is None:
        return False
    return abs(found - value) <= _EPSILON[from_numpy(editor.constants[name].dtype)] * abs(value)


def _operands(node: Node) -> Iterator[tuple[str, str]]:
    """Both orders of a binary node's inputs."""
    yield node.inputs[0], node.inputs[1]
    yield node.inputs[1], node.inputs[0]


def _inner(editor: Editor, name: str, *ops: str) -> Node | None:
    """The node that makes a value which nobody else reads, if it is one of these ops without an epilogue."""
    source = editor.producer(name)
    if source is None or source.op not in ops or not editor.is_private(source.outputs[0]):
        return None
    return None if source.attributes.get("activation") else source


def _plus(editor: Editor, node: Node | None, value: float) -> str | None:
    """The other operand of an addition of `value`."""
    if node is None:
        return None
    return next((other for other, constant in _operands(node) if _is(editor, constant, value)), None)


def _scaled(editor: Editor, name: str, factor: float) -> tuple[str, Node] | None:
    """The value that is multiplied by `factor`, or divided by its reciprocal, to give `name`."""
    source = _inner(editor, name, "mul", "div")
    return None if source is None else _unscaled(editor, source, factor)


def _unscaled(editor: Editor, node: Node, factor: float) -> tuple[str, Node] | None:
    if node.op == "div":
        return (node.inputs[0], node) if _is(editor, node.inputs[1], 1 / factor) else None
    return next(((other, node) for other, constant in _operands(node) if _is(editor, constant, factor)), None)


def _unary(op: str, value: str, **attributes: float) -> Node:
    return Node(op, (value,), ("",), attributes)


def _silu(editor: Editor, node: Node) -> Node | None:
    for value, gate in _operands(node):
        source = _inner(editor, gate, "sigmoid")
        if source is not None and source.inputs[0] == value:
            return _unary("silu", value)
    return None


def _mish(editor: Editor, node: Node) -> Node | None:
    for value, gate in _operands(node):
        outer = _inner(editor, gate, "tanh")
        source = _inner(editor, outer.inputs[0], "softplus") if outer is not None else None
        if source is not None and source.inputs[0] == value:
            return _unary("mish", value)
    return None


def _hard_swish(editor: Editor, node: Node) -> Node | None:
    for value, gate in _operands(node):
        source = _inner(editor, gate, "hard_sigmoid")
        if source is None or source.inputs[0] != value:
            continue
        alpha, beta = float(attribute(source, "alpha")), float(attribute(source, "beta"))
        if abs(alpha * 6 - 1) <= _ATTRIBUTE and beta == 0.5:
            return _unary("hard_swish", value)
    return None


def _relu6_of_shifted(editor: Editor, name: str) -> str | None:
    """x where `name` is clip(x + 3, 0, 6)."""
    source = _inner(editor, name, "clip")
    if source is None or not _is(editor, source.input(1), 0.0) or not _is(editor, source.input(2), 6.0):
        return None
    return _plus(editor, _inner(editor, source.inputs[0], "add"), 3.0)


def _hard_sigmoid(editor: Editor, node: Node) -> Node | None:
    found = _unscaled(editor, node, 1 / 6)
    value = None if found is None else _relu6_of_shifted(editor, found[0])
    return None if value is None else _unary("hard_sigmoid", value, alpha=1 / 6, beta=0.5)


def _hard_swish_scaled_last(editor: Editor, node: Node) -> Node | None:
    """(x · clip(x + 3, 0, 6)) / 6."""
    found = _unscaled(editor, node, 1 / 6)
    product = None if found is None else _inner(editor, found[0], "mul")
    if product is None:
        return None
    for value, gate in _operands(product):
        if _relu6_of_shifted(editor, gate) == value:
            return _unary("hard_swish", value)
    return None


def _gelu(editor: Editor, node: Node) -> Node | None:
    """x · (1 + erf(x / √2)) · ½, with the ½ at any of its three places."""
    for half in _halves(editor, node):
        for value, gate in half:
            shifted = _plus(editor, _inner(editor, gate, "add"), 1.0)
            inner = _inner(editor, shifted, "erf") if shifted is not None else None
            found = _scaled(editor, inner.inputs[0], 1 / sqrt(2)) if inner is not None else None
            if found is not None and found[0] == value:
                return _unary("gelu", value)
    return None


def _halves(editor: Editor, node: Node) -> Iterator[list[tuple[str, str]]]:
    """Candidates for (x, 1 + erf(…)) of which `node` is half the product."""
    halved = _unscaled(editor, node, 0.5)
    product = _inner(editor, halved[0], "mul") if halved is not None else None
    if product is not None:
        yield list(_operands(product))
    if node.op == "mul":
        for one, other in _operands(node):
            found = _scaled(editor, one, 0.5)
            if found is not None:
                yield [(found[0], other), (other, found[0])]


def _leaky_relu(editor: Editor, node: Node) -> Node | None:
    slope = _scalar(editor, node.inputs[1])
    array, known = editor.constant(node.inputs[1]), editor.type_of(node.inputs[0])
    if slope is None or array is None:
        return None
    rank = len(known.shape) if known is not None and known.shape is not None else None
    if array.ndim and (rank is None or array.ndim > rank):
        return None  # the slope might add dimensions
    return _unary("leaky_relu", node.inputs[0], alpha=slope)


Rule = Callable[[Editor, Node], Node | None]
RULES: dict[str, tuple[Rule, ...]] = {
    "mul": (_silu, _hard_swish, _mish, _hard_swish_scaled_last, _hard_sigmoid, _gelu),
    "div": (_hard_swish_scaled_last, _hard_sigmoid, _gelu),
    "prelu": (_leaky_relu,),
}
