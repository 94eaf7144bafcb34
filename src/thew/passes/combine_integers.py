"""A sum or product of dequantised values that is quantised again becomes one of integers: qlinear_add, qlinear_mul."""

from __future__ import annotations

from thew.ir import Graph
from thew.passes.editor import Editor
from thew.passes.quantised import quantised, replace_with, tail_of

_OF_INTEGERS = {"add": "qlinear_add", "mul": "qlinear_mul"}


def combine_integers(graph: Graph) -> Graph:
    """The graph with sums and products of integers where a quantisation of their operands' dtype follows."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op not in _OF_INTEGERS or node.attributes.get("activation"):
            continue
        tail = tail_of(editor, node, graph)
        terms = [quantised(editor, name) for name in node.inputs]
        if tail is None or any(term is None for term in terms):
            continue
        zeros = [editor.constants[term.zero].dtype for term in terms if term is not None]
        if {*zeros, editor.constants[tail.quantise.inputs[2]].dtype} != {zeros[0]}:
            continue
        names = tuple(name for term in terms if term is not None for name in term.names)
        replace_with(editor, node, tail, _OF_INTEGERS[node.op], (*names, *tail.quantise.inputs[1:3]), {})
    return editor.graph()
