"""Computes ops on fp16 and bf16 tensors in fp32 where only that has kernels: tensors stay half as the model says,
each op rounds once.

Runs on specialised graphs (it reads types); ops that move data keep halves as they are.
"""

from __future__ import annotations

from thew.dtypes import HALVES
from thew.ir import Graph, Node
from thew.ops import find
from thew.passes.editor import Editor


def compute_half_wide(graph: Graph) -> Graph:
    """The graph with casts around the ops that kernels run in fp32 only."""
    editor = Editor(graph)
    for node in editor.walk():
        dtypes = {name: editor.type_of(name) for name in (*node.inputs, *node.outputs) if name}
        half = next((known.dtype for known in dtypes.values() if known is not None and known.dtype in HALVES), None)
        if half is not None and _needs_fp32(node, half):
            editor.put(node, *_wrapped(editor, node))
    return editor.graph()


def _needs_fp32(node: Node, half: str) -> bool:
    op = find(node.op)
    if op is None or node.op == "cast":
        return False
    return any("fp32" in candidate.dtypes and half not in candidate.dtypes for candidate in op.candidates)


def _is_half(editor: Editor, name: str) -> bool:
    known = editor.type_of(name) if name else None
    return known is not None and known.dtype in HALVES


def _wrapped(editor: Editor, node: Node) -> list[Node]:
    casts, inputs, outputs, backs = [], [], [], []
    for name in node.inputs:
        if _is_half(editor, name):
            wide = editor.fresh(f"{name}:fp32")
            casts.append(Node("cast", (name,), (wide,), {"to": "fp32"}, wide))
            inputs.append(wide)
        else:
            inputs.append(name)
    for name in node.outputs:
        known = editor.type_of(name) if name else None
        if known is not None and known.dtype in HALVES:
            wide = editor.fresh(f"{name}:fp32")
            backs.append(Node("cast", (wide,), (name,), {"to": known.dtype}, f"{name}:{known.dtype}"))
            outputs.append(wide)
        else:
            outputs.append(name)
    return [*casts, node.replace(inputs=tuple(inputs), outputs=tuple(outputs)), *backs]
