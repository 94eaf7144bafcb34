"""Composes transposes, cancels inverse ones, and pulls them through elementwise ops and concat where that leaves fewer.

For each transpose the walk goes up from its input: through ops that do not care about the order of axes, as long as
nobody else reads their results, to transposes, constants (transposed here, as views) and others (which would need a new
transpose). It is rewritten if the count falls. A transpose that only moves axes of extent 1 is a reshape.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from thew.ir import Graph, Node
from thew.ops import attribute
from thew.passes.editor import Editor
from thew.passes.simplify_reshapes import reshape_node

_DEPTH = 64  # nodes on the longest way up
# The first input of these decides the shape, others are scalars; all inputs of the second kind broadcast.
_UNARY = frozenset(
    {
        *(
            "abs",
            "cast",
            "ceil",
            "celu",
            "clip",
            "cos",
            "elu",
            "erf",
            "exp",
            "floor",
            "gelu",
            "hard_sigmoid",
            "hard_swish",
        ),
        *("identity", "is_nan", "leaky_relu", "log", "mish", "neg", "not", "reciprocal", "relu", "round", "selu"),
        *("sigmoid", "sign", "silu", "sin", "softplus", "softsign", "sqrt", "swish", "tanh", "thresholded_relu"),
    }
)
_BROADCASTING = frozenset(
    {
        *("add", "sub", "mul", "div", "pow", "min", "max", "mod", "prelu", "and", "or", "xor", "where"),
        *("equal", "greater", "less", "greater_or_equal", "less_or_equal"),
    }
)


def simplify_transposes(graph: Graph) -> Graph:
    """The graph with fewer transposes, where there are some to save."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "transpose" and not _as_reshape(editor, node):
            _pull_up(editor, node)
    return editor.graph()


def permutation(editor: Editor, node: Node) -> tuple[int, ...] | None:
    """The order of axes of a transpose; None where it is the reverse of an unknown rank."""
    perm = tuple(attribute(node, "perm") or ())
    shape = editor.static_shape(node.inputs[0])
    if perm:
        return perm if sorted(perm) == list(range(len(perm))) else None
    return None if shape is None else tuple(reversed(range(len(shape))))


def _as_reshape(editor: Editor, node: Node) -> bool:
    perm, shape = permutation(editor, node), editor.static_shape(node.inputs[0])
    if perm is None or shape is None or len(shape) != len(perm):
        return False
    moved = [axis for axis in perm if shape[axis] != 1]
    if moved != sorted(moved):
        return False
    editor.put(
        node, reshape_node(editor, node.inputs[0], tuple(shape[axis] for axis in perm), node.outputs[0], node.name)
    )
    return True


@dataclass
class _Rewrite:
    """What pulling one transpose up would do."""

    made: list[Node] = field(default_factory=list)
    gone: list[Node] = field(default_factory=list)

    @property
    def saved(self) -> int:
        """Transposes fewer than before."""
        return sum(node.op == "transpose" for node in self.gone) - sum(node.op == "transpose" for node in self.made)


def _pull_up(editor: Editor, node: Node) -> None:
    perm = permutation(editor, node)
    if perm is None:
        return
    rewrite = _Rewrite(gone=[node])
    value = _transposed(editor, node.inputs[0], perm, rewrite, _DEPTH)
    if rewrite.saved <= 0:
        return
    if rewrite.made and value in rewrite.made[-1].outputs:
        rewrite.made[-1] = rewrite.made[-1].replace(outputs=node.outputs)
        editor.put(node, *rewrite.made)
    elif not editor.forward(node, value):
        editor.put(node, Node("identity", (value,), node.outputs, {}, node.name))
    for old in rewrite.gone[1:]:
        editor.drop(old)


def _transposed(editor: Editor, value: str, perm: tuple[int, ...], rewrite: _Rewrite, depth: int) -> str:
    """Name of a value that is the transpose of `value`; the nodes that it takes are added to the rewrite."""
    array = editor.constant(value)
    if array is not None and array.ndim <= len(perm):
        full = array.reshape((1,) * (len(perm) - array.ndim) + array.shape)
        return value if array.size == 1 else editor.add_constant(full.transpose(perm), value)
    source = editor.producer(value)
    if source is not None and source.op == "transpose":
        inner = permutation(editor, source)
        if inner is not None and len(inner) == len(perm):
            return _composed(editor, source, tuple(inner[axis] for axis in perm), rewrite)
    if source is not None and depth and editor.is_private(value) and len(source.outputs) == 1:
        operands = _operands(editor, source, perm)
        if operands:
            rewrite.gone.append(source)
            inputs = list(source.inputs)
            for index in operands:
                inputs[index] = _transposed(editor, inputs[index], perm, rewrite, depth - 1)
            moved = source.replace(inputs=tuple(inputs), outputs=(editor.fresh(f"{value}_transposed"),))
            if source.op == "concat":
                axis = int(attribute(source, "axis"))
                moved = moved.with_attributes(axis=perm.index(axis % len(perm)))
            rewrite.made.append(moved)
            return moved.outputs[0]
    return _new(editor, value, perm, rewrite)


def _composed(editor: Editor, source: Node, perm: tuple[int, ...], rewrite: _Rewrite) -> str:
    if editor.is_private(source.outputs[0]):
        rewrite.gone.append(source)
    if perm == tuple(range(len(perm))):
        return source.inputs[0]
    return _new(editor, source.inputs[0], perm, rewrite)


def _new(editor: Editor, value: str, perm: tuple[int, ...], rewrite: _Rewrite) -> str:
    node = Node("transpose", (value,), (editor.fresh(f"{value}_transposed"),), {"perm": perm})
    rewrite.made.append(node)
    return node.outputs[0]


def _operands(editor: Editor, node: Node, perm: tuple[int, ...]) -> tuple[int, ...]:
    """Inputs to transpose instead of the node's output; none where that is not the same."""
    if node.op in _UNARY:
        return (0,)
    if node.op in _BROADCASTING or node.op == "concat":
        ranks = [_rank(editor, name) for name in node.inputs]
        wanted = len(perm)
        if node.op != "concat":
            constant = [editor.constant(name) is not None for name in node.inputs]
            free = [rank for rank, is_constant in zip(ranks, constant, strict=True) if not is_constant]
            fixed = [
                rank for rank, is_constant in zip(ranks, constant, strict=True) if is_constant and rank is not None
            ]
            # One operand of unknown rank has the result's rank if constants of lower rank are all the others.
            if free == [None] and all(rank < wanted for rank in fixed):
                return tuple(range(len(node.inputs)))
            ranks = free
        if all(rank == wanted for rank in ranks):
            return tuple(range(len(node.inputs)))
    return ()


def _rank(editor: Editor, name: str) -> int | None:
    known = editor.type_of(name)
    return None if known is None or known.shape is None else len(known.shape)
