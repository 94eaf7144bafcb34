"""Whether the images of a batch are independent, so that a batch may be cut into parts that run at once.

A value is *batched* where its first axis is the batch and each slice along it depends on that slice of the inputs
alone. Every op has a rule, and an op without one counts as mixing images.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod

from thew.ir import Graph, Node
from thew.ops import Call, find
from thew.ops.qlinear import RESIDUAL
from thew.ops.reduce import resolved_axes
from thew.plan.alternatives import call_of_node

Rule = Callable[[Call, frozenset[int]], bool]  # the call and its batched inputs: whether the outputs are batched


def is_separable(graph: Graph, batch: int) -> bool:
    """Whether all inputs and outputs of a specialised graph have the batch in front, and no op mixes images.

    A batch of one is like any other axis of extent 1, and tells nothing: ask of the whole batch too.
    """
    if batch < 1 or any(value.type.static_shape[:1] != (batch,) for value in graph.inputs):
        return False
    batched = {value.name for value in graph.inputs}
    for node in graph.nodes:
        inside = frozenset(index for index, name in enumerate(node.inputs) if name in batched)
        if not inside:
            continue
        if not _keeps_apart(graph, node, inside, batch):
            return False
        batched.update(name for name in node.outputs if name)
    return batched.issuperset(graph.outputs)


def part_size(batch: int, threads: int) -> int:
    """How many images a part holds: parts of one size that end soonest on so many threads.

    Of those as soon, parts as large as leave two a thread, so that one whose core is busy with something else takes
    fewer.
    """
    sizes = [size for size in range(1, batch + 1) if batch % size == 0 and batch // size >= min(threads, batch)]
    return min(sizes, key=lambda size: (ceil(batch // size / threads) * size, batch // size < 2 * threads, -size))


def _keeps_apart(graph: Graph, node: Node, inside: frozenset[int], batch: int) -> bool:
    for name in node.outputs:
        found = graph.type_of(name) if name else None
        if name and (found is None or not found.is_static or found.static_shape[:1] != (batch,)):
            return False
    call = call_of_node(graph, node)
    op = find(node.op)
    families = {candidate.family for candidate in op.candidates} if op is not None else set()
    rule = _RULES.get(node.op) or (_alike if families & {"unary", "binary", "select", "cast"} else None)
    return rule is not None and rule(call, inside)


def _rank(call: Call, index: int) -> int:
    return len(call.shape(index))


def _alike(call: Call, inside: frozenset[int]) -> bool:
    """Elementwise: batched operands are of the result's rank, the others do not vary along its first axis."""
    rank = max(_rank(call, index) for index in range(len(call.types)) if call.has(index))
    return all(
        _rank(call, index) == rank if index in inside else _rank(call, index) < rank or call.shape(index)[0] == 1
        for index in range(len(call.types))
        if call.has(index)
    )


def _first(call: Call, inside: frozenset[int]) -> bool:
    """Only input 0 is batched: what else there is are weights."""
    return inside == {0}


def _product(call: Call, inside: frozenset[int]) -> bool:
    """Rows of a, or matrices of both: b has no batch of its own, or the same. What is added is as in `_alike`."""
    rank = max(_rank(call, 0), _rank(call, 1))
    apart = (inside & {0, 1} == {0} and _rank(call, 0) >= 2 and _rank(call, 1) <= max(2, _rank(call, 0) - 1)) or (
        inside >= {0, 1} and _rank(call, 0) == _rank(call, 1) >= 3
    )
    return apart and _added(call, inside, rank)


def _added(call: Call, inside: frozenset[int], rank: int) -> bool:
    """Biases and residuals from input 2 on."""
    return all(
        _rank(call, index) == rank if index in inside else _rank(call, index) < rank or call.shape(index)[0] == 1
        for index in range(2, len(call.types))
        if call.has(index)
    )


def _convolution(call: Call, inside: frozenset[int]) -> bool:
    return 0 in inside and inside <= {0, 3} and _added(call, inside, _rank(call, 0))


def _integer_convolution(call: Call, inside: frozenset[int]) -> bool:
    return 0 in inside and inside <= {0, RESIDUAL}


def _integer_product(call: Call, inside: frozenset[int]) -> bool:
    """Rows of a, in one step each: a scale for each row would be cut with them."""
    alone = all(prod(call.shape(index)) == 1 for index in (1, 2))
    return inside == {0} and alone and _rank(call, 3) <= 2 <= _rank(call, 0)


def _along(call: Call, inside: frozenset[int]) -> bool:
    """An axis of all inputs alike that is not the first."""
    axis = call.attribute("axis")
    return inside == set(range(len(call.types))) and axis % _rank(call, 0) != 0


def _within(call: Call, inside: frozenset[int]) -> bool:
    return inside == {0} and call.attribute("axis") % _rank(call, 0) != 0


def _reduced(call: Call, inside: frozenset[int]) -> bool:
    axes = resolved_axes(call)
    return inside == {0} and axes is not None and 0 not in axes


def _turned(call: Call, inside: frozenset[int]) -> bool:
    order = call.node.attributes.get("perm")
    return isinstance(order, tuple) and order[:1] == (0,)


def _sliced(call: Call, inside: frozenset[int]) -> bool:
    starts = call.ints(1)
    axes = call.ints(3) if call.has(3) else (None if starts is None else tuple(range(len(starts))))
    return inside == {0} and axes is not None and all(axis % _rank(call, 0) != 0 for axis in axes)


def _padded(call: Call, inside: frozenset[int]) -> bool:
    pads, rank = call.ints(1), _rank(call, 0)
    axes = call.ints(3) if call.has(3) else tuple(range(rank))
    if inside != {0} or pads is None or axes is None:
        return False
    return all(not pads[i] and not pads[i + len(axes)] for i, axis in enumerate(axes) if axis % rank == 0)


_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "average_pool",
            "conv_integer",
            "depth_to_space",
            "dropout",
            "flatten",
            "global_average_pool",
            "global_max_pool",
            "identity",
            "lookup",
            "lrn",
            "max_pool",
            "reshape",  # its result begins with the batch as its input does, so each image keeps its elements
            "space_to_depth",
            "squeeze",
            "unsqueeze",
        ),
        _first,
    ),
    **dict.fromkeys(
        ("softmax", "log_softmax", "split", "layer_normalization", "quantize_linear", "dequantize_linear"), _within
    ),
    **dict.fromkeys(("reduce_mean", "reduce_sum", "reduce_max", "reduce_min"), _reduced),
    "batch_normalization": lambda call, inside: inside == {0} and not call.attribute("training_mode"),
    "concat": _along,
    "conv": _convolution,
    "qlinear_conv": _integer_convolution,
    "qlinear_add": _alike,
    "qlinear_mul": _alike,
    "qlinear_matmul": _integer_product,
    "conv_transpose": _first,
    "matmul": _product,
    "scaled_matmul": _product,
    "pad": _padded,
    "slice": _sliced,
    "transpose": _turned,
}
