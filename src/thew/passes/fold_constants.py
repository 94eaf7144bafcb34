"""Replaces nodes whose inputs are all constant by their values; a constant keeps the name of the value it was."""

from __future__ import annotations

from thew.ir import Graph, Node, TensorType
from thew.ir.graph import Array
from thew.ops import find
from thew.passes.fold import DEFAULT, Budget, fold
from thew.passes.infer import infer_node, op_of, value_type


def fold_constants(graph: Graph, budget: Budget = DEFAULT) -> Graph:
    """The graph without nodes that compute constants, save those beyond the budget. Nodes of unknown ops stay."""
    constants: dict[str, Array] = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        if not _fold_node(graph, node, constants, budget):
            nodes.append(node)
    if len(nodes) == len(graph.nodes):
        return graph
    types = {name: known for name, known in graph.types.items() if name not in constants}
    return graph.replace(nodes=tuple(nodes), constants=constants, types=types)


def _fold_node(graph: Graph, node: Node, constants: dict[str, Array], budget: Budget) -> bool:
    if find(node.op) is None:
        return False
    types: list[TensorType | None] = []
    for name in node.inputs:
        known = value_type(constants[name]) if name in constants else graph.type_of(name) if name else None
        if name and (known is None or not known.is_static):
            return False
        types.append(known)
    values = [constants.get(name) for name in node.inputs]
    if any(name and value is None for name, value in zip(node.inputs, values, strict=True)):
        return False
    results = infer_node(node, types, values)
    folded = fold(op_of(node), node, types, values, results, budget)
    if folded is None:
        return False
    constants.update((name, array) for name, array in zip(node.outputs, folded, strict=False) if name)
    return True
