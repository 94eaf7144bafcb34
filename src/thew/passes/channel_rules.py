"""What each op does with channels: hands them on, ties or joins them, makes new ones, or keeps them from being removed.

Convolutions and products with constant weights take channels along one axis and make others along the other; a
depthwise convolution and a batch norm scale each; a sum ties the channels of its operands; a concatenation joins them;
a reshape to a matrix repeats each for its pixels. An op without a rule freezes what it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ops import attribute
from thew.passes.channels import MAKES, SCALES, TAKES, Channels, Walk
from thew.passes.specialise import guessed_types


def find_channels(graph: Graph) -> Channels:
    """Finds what goes together in a graph of floats."""
    walk = Walk(graph, guessed_types(graph))
    for value in graph.inputs:
        walk.freeze(walk.of(value.name))
    for node in graph.nodes:
        _RULES.get(node.op, _unknown)(walk, node)
    for name in graph.outputs:
        walk.freeze(walk.of(name))
    return walk.result()


def _unknown(walk: Walk, node: Node) -> None:
    for name in node.inputs:
        if name and name not in walk.graph.constants:
            walk.freeze(walk.of(name))


def _nothing(walk: Walk, node: Node) -> None:
    """Reads shapes only, which follow by themselves."""


def _same(walk: Walk, node: Node) -> None:
    walk.give(node, walk.of(node.inputs[0]))


def _convolution(walk: Walk, node: Node) -> None:
    weight = walk.graph.constants.get(node.inputs[1])
    taken, group = walk.of(node.inputs[0]), int(attribute(node, "group"))
    bias = node.input(2)
    if weight is None or (bias and bias not in walk.graph.constants) or node.input(3):
        return _unknown(walk, node)
    if group == 1:
        walk.use(node, node.inputs[1], 1, taken, TAKES)
        made, role = walk.fresh(weight.shape[0]), MAKES
    elif group == len(taken) == weight.shape[0]:
        made, role = taken, SCALES
        walk.per_channel(node, taken)
    else:
        return _unknown(walk, node)
    walk.use(node, node.inputs[1], 0, made, role)
    if bias:
        walk.use(node, bias, 0, made, SCALES)
    return walk.give(node, made)


def _product(walk: Walk, node: Node) -> None:
    weight, shape = walk.graph.constants.get(node.inputs[1]), walk.shape(node.inputs[0])
    is_plain = weight is not None and weight.ndim == 2 and shape is not None and len(shape) == 2
    bias = node.input(2)
    if not is_plain or node.attributes.get("transA") or (bias and bias not in walk.graph.constants):
        return _unknown(walk, node)
    assert weight is not None
    axis = 1 if node.attributes.get("transB") else 0
    walk.use(node, node.inputs[1], axis, walk.of(node.inputs[0]), TAKES)
    made = walk.fresh(weight.shape[1 - axis])
    walk.use(node, node.inputs[1], 1 - axis, made, MAKES)
    if bias:
        _broadcast(walk, node, bias, made, 2)
    return walk.give(node, made)


def _normalisation(walk: Walk, node: Node) -> None:
    atoms = walk.of(node.inputs[0])
    for name in node.inputs[1:]:
        if name not in walk.graph.constants:
            return _unknown(walk, node)
        walk.use(node, name, 0, atoms, SCALES)
    return walk.give(node, atoms)


def _elementwise(walk: Walk, node: Node) -> None:
    """Operands are tied where they have as many channels; one with a single channel is spread over them."""
    shape = walk.shape(node.outputs[0])
    if shape is None or len(shape) < 2:
        return _unknown(walk, node)
    made: Array | None = None
    for name in node.inputs:
        own = walk.shape(name)
        if name in walk.graph.constants or own is None or len(own) != len(shape) or own[1] != shape[1]:
            continue
        if made is not None:
            walk.tie(made, walk.of(name))
        made = walk.of(name)
    if made is None:
        return _unknown(walk, node)
    for name in node.inputs:
        if name in walk.graph.constants:
            _broadcast(walk, node, name, made, len(shape))
        elif len(walk.of(name)) != len(made):
            walk.freeze(walk.of(name))
    return walk.give(node, made)


def _broadcast(walk: Walk, node: Node, name: str, atoms: Array, rank: int) -> None:
    """A constant that is spread over a value: its slices along channels, where it has them."""
    array = walk.graph.constants[name]
    axis = 1 - (rank - array.ndim)
    if array.ndim > rank:
        walk.freeze(atoms)
    elif axis >= 0 and array.shape[axis] == len(atoms) > 1:
        walk.use(node, name, axis, atoms, SCALES)


def _concat(walk: Walk, node: Node) -> None:
    shape = walk.shape(node.outputs[0])
    if shape is None or len(shape) < 2:
        return _nothing(walk, node) if shape is not None else _unknown(walk, node)
    parts = [walk.of(name) for name in node.inputs]
    if int(attribute(node, "axis")) % len(shape) == 1:
        return walk.give(node, np.concatenate(parts))
    for part in parts[1:]:
        walk.tie(parts[0], part)
    return walk.give(node, parts[0])


def _reshape(walk: Walk, node: Node) -> None:
    """Axis 1 and what comes after it, as one: every channel is as many places as there are pixels."""
    before, after = walk.shape(node.inputs[0]), walk.shape(node.outputs[0])
    if before is None or after is None or len(before) < 2 or len(after) < 2:
        return _unknown(walk, node)
    pixels = prod(before[2:])
    is_flat = after[0] == before[0] and after[1] == before[1] * pixels and prod(after[2:]) == 1
    if after[:2] != before[:2] and not is_flat:
        return _unknown(walk, node)
    atoms = walk.of(node.inputs[0]) if after[:2] == before[:2] else np.repeat(walk.of(node.inputs[0]), pixels)
    if node.op == "reshape" and not _follows(walk, node.inputs[1], atoms):
        walk.freeze(atoms)
    return walk.give(node, atoms)


def _follows(walk: Walk, target: str, atoms: Array) -> bool:
    """Whether a reshape's target can be brought to another number of channels."""
    array = walk.graph.constants.get(target)
    if array is None:  # computed from shapes, which follow, save for numbers among them
        maker = walk.graph.producers.get(target)
        parts = (
            [walk.graph.constants.get(name) for name in maker.inputs]
            if maker and maker.op == "concat"
            else [np.ones(1)]
        )
        return all(part is None or (part == -1).all() for part in parts)
    if array.size > 1 and array.reshape(-1)[1] > 0:
        if walk.graph.use_count(target) != 1:
            return False
        walk.shaped[target] = (1, atoms)
    return True


def _flatten(walk: Walk, node: Node) -> None:
    return _reshape(walk, node) if int(attribute(node, "axis")) == 1 else _unknown(walk, node)


def _slice(walk: Walk, node: Node) -> None:
    axes = walk.graph.constants.get(node.input(3)) if node.input(3) else None
    shape = walk.shape(node.inputs[0])
    if axes is None or shape is None or any(int(axis) % len(shape) == 1 for axis in axes.reshape(-1)):
        return _unknown(walk, node)
    return _same(walk, node)


def _pad(walk: Walk, node: Node) -> None:
    """Channels that a pad adds stay, so that its amounts stay right."""
    before, after = walk.shape(node.inputs[0]), walk.shape(node.outputs[0])
    amounts = walk.graph.constants.get(node.inputs[1])
    if before is None or after is None or amounts is None or node.input(3) or len(before) < 2:
        return _unknown(walk, node)
    front, back = (int(amounts.reshape(-1)[place]) for place in (1, len(before) + 1))
    if min(front, back) < 0 or (front + back and attribute(node, "mode") != "constant"):
        return _unknown(walk, node)
    added = walk.fresh(front), walk.fresh(back)
    for atoms in added:
        walk.freeze(atoms)
    return walk.give(node, np.concatenate([added[0], walk.of(node.inputs[0]), added[1]]))


def _reduction(walk: Walk, node: Node) -> None:
    given = node.attributes.get("axes") or walk.graph.constants.get(node.input(1))
    shape = walk.shape(node.inputs[0])
    axes = () if given is None else tuple(int(axis) for axis in np.reshape(np.asarray(given), -1))
    if shape is None or not axes or any(axis % len(shape) < 2 for axis in axes):
        return _unknown(walk, node)
    return _same(walk, node)


Rule = Callable[[Walk, Node], None]
_SAME = (
    "abs", "average_pool", "cast", "celu", "clip", "dropout", "elu", "erf", "exp", "gelu", "global_average_pool",
    "global_max_pool", "hard_sigmoid", "hard_swish", "identity", "leaky_relu", "lp_pool", "max_pool", "mish", "neg",
    "relu", "selu", "sigmoid", "silu", "softplus", "softsign", "sqrt", "swish", "tanh",
)  # fmt: skip
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(("add", "sub", "mul", "div", "max", "min", "pow", "prelu"), _elementwise),
    **dict.fromkeys(("batch_normalization", "instance_normalization"), _normalisation),
    **dict.fromkeys(("reduce_mean", "reduce_sum", "reduce_max", "reduce_min"), _reduction),
    **dict.fromkeys(("reshape", "squeeze"), _reshape),
    **dict.fromkeys(("gemm", "matmul"), _product),
    **dict.fromkeys(("shape", "size"), _nothing),
    "conv": _convolution,
    "concat": _concat,
    "flatten": _flatten,
    "slice": _slice,
    "pad": _pad,
}
