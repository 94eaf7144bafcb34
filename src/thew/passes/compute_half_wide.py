"""Computes ops on fp16 and bf16 tensors in fp32 where only that has kernels: tensors stay half as the model says,
each op rounds once.

Between two such ops, and behind casts that do not insist on rounding, the fp32 value is handed on as it is: more exact
than what was asked for, and no conversions where the arithmetic is not there (excess precision, as C has it).

Runs on specialised graphs (it reads types); ops that move data keep halves as they are, beside what they move in fp32.
"""

from __future__ import annotations

from thew.dtypes import FLOATS, HALVES
from thew.ir import Graph, Node
from thew.ops import find
from thew.ops.opdef import attribute
from thew.passes.editor import Editor

_MOVING = frozenset({"flatten", "identity", "reshape", "squeeze", "transpose", "unsqueeze"})  # their input 0


def compute_half_wide(graph: Graph) -> Graph:
    """The graph with casts around the ops that kernels run in fp32 only."""
    widening = _Widening(graph)
    for node in widening.editor.walk():
        widening.visit(node)
    return widening.editor.graph()


def _needs_fp32(node: Node, half: str) -> bool:
    op = find(node.op)
    if op is None or node.op == "cast":
        return False
    dtypes = {dtype for candidate in op.candidates for dtype in candidate.dtypes}
    return "fp32" in dtypes and half not in dtypes


class _Widening:
    """The walk: which halves are known in a wider type too."""

    def __init__(self, graph: Graph) -> None:
        self.editor = Editor(graph)
        self._wide: dict[str, str] = {}  # half → the fp32 value that it was rounded from
        self._sources: dict[str, str] = {}  # half → the float that a cast without rounding took
        self._read: dict[str, str] = {}  # half → its value in fp32, by a cast

    def visit(self, node: Node) -> None:
        """Rewrites one node, or notes what it tells."""
        if node.op == "cast":
            self._cast(node)
        elif node.op in _MOVING and self._is_half(node.inputs[0]) and self._source(node.inputs[0]):
            self._move(node)
        elif any(self._needs_fp32(node, name) for name in (*node.inputs, *node.outputs)):
            self.editor.put(node, *self._wrapped(node))

    def _needs_fp32(self, node: Node, name: str) -> bool:
        known = self.editor.type_of(name) if name else None
        return known is not None and known.dtype in HALVES and _needs_fp32(node, known.dtype)

    def _dtype(self, name: str) -> str:
        known = self.editor.type_of(name) if name else None
        return "" if known is None else known.dtype

    def _is_half(self, name: str) -> bool:
        return self._dtype(name) in HALVES

    def _source(self, name: str) -> str:
        return self._wide.get(name) or self._sources.get(name, "")

    def _cast(self, node: Node) -> None:
        """A cast of what is known in a wider type starts from that."""
        (name,), to = node.inputs, attribute(node, "to")
        if to in HALVES and self._dtype(name) in FLOATS and not attribute(node, "rounds"):
            self._sources[node.outputs[0]] = name
        source = self._source(name) if self._is_half(name) and to in FLOATS and to not in HALVES else ""
        if not source:
            return
        if self._dtype(source) != to or not self.editor.substitute(node, (source,)):
            self.editor.put(node, node.replace(inputs=(source,)))

    def _move(self, node: Node) -> None:
        """What is known in fp32 is moved beside the half; what nobody reads is left out later."""
        casts: list[Node] = []
        source, (output,) = self._in_fp32(node.inputs[0], casts), node.outputs
        self._wide[output] = wide = self.editor.fresh(f"{output}:fp32")
        moved = node.replace(inputs=(source, *node.inputs[1:]), outputs=(wide,), name=wide)
        self.editor.put(node, *casts, moved, node)

    def _in_fp32(self, name: str, casts: list[Node]) -> str:
        """A half in fp32: as it was before, or by a cast, one for all who read it."""
        if name in self._wide:
            return self._wide[name]
        source = self._sources.get(name, name)
        if self._dtype(source) == "fp32":
            return source
        if name not in self._read:
            self._read[name] = wide = self.editor.fresh(f"{name}:fp32")
            casts.append(Node("cast", (source,), (wide,), {"to": "fp32"}, wide))
        return self._read[name]

    def _wrapped(self, node: Node) -> list[Node]:
        casts: list[Node] = []
        inputs = [self._in_fp32(name, casts) if self._is_half(name) else name for name in node.inputs]
        outputs, backs = list(node.outputs), []
        for index, name in enumerate(node.outputs):
            if self._is_half(name):
                outputs[index] = self._wide[name] = wide = self.editor.fresh(f"{name}:fp32")
                backs.append(Node("cast", (wide,), (name,), {"to": self._dtype(name)}, f"{name}:{self._dtype(name)}"))
        return [*casts, node.replace(inputs=tuple(inputs), outputs=tuple(outputs)), *backs]
