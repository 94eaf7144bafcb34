"""Binds a graph's inputs to static types, infers all that follows from them, and folds what becomes constant.

One walk in order: each node's output types are inferred once its inputs' are static, and a node with constant inputs is
replaced by its value, so that chains such as shape → gather → concat → reshape vanish. What depends on data stays
unknown, and so does what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from thew.errors import Error, InputError
from thew.ir import Graph, Node, TensorType, Value
from thew.ir.graph import Array
from thew.passes.fold import DEFAULT, Budget, fold
from thew.passes.infer import infer_node, op_of, value_type

_SOME = 2  # stands for symbols where only ranks and other extents are asked for


def specialise(graph: Graph, types: Mapping[str, TensorType], budget: Budget = DEFAULT) -> Graph:
    """The graph for inputs of these types.

    Args:
        graph: its inputs may have symbols as extents, or unknown shapes.
        types: one static type for each graph input.
        budget: limits on what may be folded.

    Raises:
        InputError: types do not fit what the graph declares.
        ShapeError: an op cannot take its inputs; the node is named.
        UnsupportedError: a node's op is not known.
    """
    inputs = bind(graph, types)
    known: dict[str, TensorType] = {value.name: value.type for value in inputs}
    constants: dict[str, Array] = dict(graph.constants)
    known.update((name, value_type(array)) for name, array in constants.items())
    nodes = [node for node in graph.nodes if not _visit(node, known, constants, budget)]
    defined = {output for node in nodes for output in node.outputs}
    found = {name: type_ for name, type_ in known.items() if name in defined}
    return graph.replace(inputs=inputs, nodes=tuple(nodes), constants=constants, types=found)


def guessed_types(graph: Graph) -> dict[str, TensorType]:
    """Static types of a graph's values, inputs among them, some extent in the place of each symbol.

    Ranks and the extents that are numbers hold. Only what the graph says itself where types cannot be told.
    """
    if any(value.type.shape is None for value in graph.inputs):
        return dict(graph.types)
    bound = {
        value.name: TensorType(
            value.type.dtype, tuple(extent if isinstance(extent, int) else _SOME for extent in value.type.shape or ())
        )
        for value in graph.inputs
    }
    try:
        return {**graph.types, **bound, **specialise(graph, bound).types}
    except Error:
        return dict(graph.types)


def _visit(node: Node, known: dict[str, TensorType], constants: dict[str, Array], budget: Budget) -> bool:
    """Infers one node's types; returns True where the node became constants."""
    op = op_of(node)
    types = [known.get(name) if name else None for name in node.inputs]
    if any(name and type_ is None for name, type_ in zip(node.inputs, types, strict=True)):
        return False
    values = [constants.get(name) for name in node.inputs]
    results = infer_node(node, types, values)
    folded = fold(op, node, types, values, results, budget)
    if folded is None:
        known.update(
            (name, type_) for name, type_ in zip(node.outputs, results, strict=False) if name and type_ is not None
        )
        return False
    for name, array in zip(node.outputs, folded, strict=False):
        if name:
            constants[name], known[name] = array, value_type(array)
    return True


def bind(graph: Graph, types: Mapping[str, TensorType]) -> tuple[Value, ...]:
    """The graph's inputs with these static types. Raises InputError where one does not fit its declaration."""
    declared = {value.name for value in graph.inputs}
    for name in types:
        if name not in declared:
            raise InputError(f"input '{name}': must be one of the model's, which are {sorted(declared)}; leave it out")
    symbols: dict[str, tuple[int, str]] = {}
    return tuple(_bind_one(value, types.get(value.name), symbols) for value in graph.inputs)


def _bind_one(declared: Value, got: TensorType | None, symbols: dict[str, tuple[int, str]]) -> Value:
    where, want = f"input '{declared.name}'", declared.type
    if got is None:
        raise InputError(f"{where}: must be given as {want}, got none")
    if want.dtype == "opaque":  # a sequence or an optional (which may hold a tensor): its type says nothing
        return declared
    if got.dtype != want.dtype:
        raise InputError(f"{where}: dtype must be {want.dtype}, got {got.dtype}; convert the array")
    if not got.is_static:
        raise InputError(f"{where}: must have numbers as extents, got {got}")
    if want.shape is None:
        return Value(declared.name, got)
    if len(want.shape) != len(got.static_shape):
        raise InputError(f"{where}: must have {len(want.shape)} dimensions as in {want}, got {got}")
    for axis, (expected, extent) in enumerate(zip(want.shape, got.static_shape, strict=True)):
        if isinstance(expected, int):
            if extent != expected:
                raise InputError(f"{where}: extent of axis {axis} must be {expected} as in {want}, got {got}")
            continue
        bound, by = symbols.setdefault(expected, (extent, declared.name))
        if bound != extent:
            raise InputError(
                f"{where}: extent '{expected}' of axis {axis} must be {bound} as in input '{by}', got {got}"
            )
    return Value(declared.name, got)
