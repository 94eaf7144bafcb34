"""Functions: operators whose meaning is a graph of other operators, given by the model or by ONNX's own schema.

The importer expands them where they are called; here their bodies are found and their attribute references bound.
"""

from __future__ import annotations

from typing import Any

from thew.errors import ModelError
from thew.onnx.limits import check_depth
from thew.onnx.nodes import OnnxNode, subgraphs
from thew.onnx.schemas import find_schema


def local_functions(model: Any) -> dict[tuple[str, str, str], Any]:
    """The functions that a model defines, by domain, name and overload."""
    found: dict[tuple[str, str, str], Any] = {}
    for function in model.functions:
        key = (function.domain, function.name, function.overload)
        if key in found:
            raise ModelError(f"function '{function.name}': must be defined once in domain '{function.domain}'")
        found[key] = function
    return found


def bound_body(function: Any, call: Any, where: str, schema: Any = None) -> list[Any]:
    """The nodes of a function's body, with references to its attributes replaced by the call's values, or by the
    defaults.
    """
    values = {item.name: item for item in function.attribute_proto}
    if schema is not None:
        values.update((name, item.default_value) for name, item in schema.attributes.items() if item.default_value.type)
    values.update((item.name, item) for item in call.attribute)
    return [_bound(node, values, where, 0) for node in function.node]


def _bound(node: Any, values: dict[str, Any], where: str, depth: int) -> Any:
    """The node itself where it refers to nothing, else a copy with the values put in."""
    check_depth(depth, where)
    if not _has_references(node, depth):
        return node
    bound = type(node)()
    bound.CopyFrom(node)
    kept = []
    for attribute in bound.attribute:
        if attribute.ref_attr_name:
            # A reference to an attribute that the call does not give means that the inner node does not have it.
            if attribute.ref_attr_name in values:
                value = type(attribute)()
                value.CopyFrom(values[attribute.ref_attr_name])
                value.name = attribute.name
                kept.append(value)
            continue
        kept.append(attribute)
    kept = [_copy(attribute) for attribute in kept]
    del bound.attribute[:]
    bound.attribute.extend(kept)
    for graph in subgraphs(bound):
        inner = [_bound(item, values, where, depth + 1) for item in graph.node]
        inner = [_copy(item) for item in inner]
        del graph.node[:]
        graph.node.extend(inner)
    return bound


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _has_references(node: Any, depth: int) -> bool:
    if any(attribute.ref_attr_name for attribute in node.attribute):
        return True
    check_depth(depth, node.op_type)
    return any(_has_references(inner, depth + 1) for graph in subgraphs(node) for inner in graph.node)


def schema_function(node: OnnxNode, proto: Any, input_types: list[Any]) -> Any | None:
    """The FunctionProto that ONNX gives for a node, or None where it gives none."""
    import onnx

    schema = find_schema(node.op_type, node.domain, node.opset)
    if schema is None:
        return None
    versions = [version for version in schema.function_opset_versions if version <= node.opset]
    if versions:
        raw = schema.get_function_with_opset_version(max(versions))
        return onnx.FunctionProto.FromString(raw) if raw else None
    contextual = [version for version in schema.context_dependent_function_opset_versions if version <= node.opset]
    if not contextual or any(
        name and not kind.WhichOneof("value") for name, kind in zip(node.inputs, input_types, strict=True)
    ):
        return None
    types = [kind.SerializeToString() for kind in input_types]
    raw = schema.get_context_dependent_function_with_opset_version(max(contextual), proto.SerializeToString(), types)
    return onnx.FunctionProto.FromString(raw) if raw else None
