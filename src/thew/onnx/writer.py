"""`export_onnx`: a model or a graph becomes an ONNX file.

Ops are ONNX operators under other names, so that writing is the reverse of reading: fused nodes are split, foreign ops
give back the node they hold. The file appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thew.dtypes import from_numpy
from thew.errors import InputError, UnsupportedError
from thew.files import write_atomically
from thew.ir import Graph, Node, TensorType
from thew.onnx.element_types import number_of
from thew.onnx.foreign import IMPURE, PURE, parse_model, type_proto
from thew.onnx.limits import MAX_FILE_BYTES
from thew.onnx.lower import lowered
from thew.onnx.schemas import NEWEST_OPSET, find_schema
from thew.onnx.tensors import to_tensor

if TYPE_CHECKING:
    from thew.nn import Module

OLDEST_OPSET = 17  # written where it can say what the graph says; other tools read it widely
_CONTROL = ("if", "loop", "scan")


def export_onnx(
    model: Module | Graph,
    path: str | os.PathLike[str],
    input_shape: Sequence[int | str] | Sequence[Sequence[int | str]] | None = None,
) -> None:
    """Writes a model as ONNX, in the oldest operator set from 17 on that can say all of it.

    Args:
        model: a module, or a graph.
        path: the file; it is replaced only once the new one is complete.
        input_shape: the shape of a module's input, or one a shape an input; names stand for extents left open.

    Raises:
        InputError: a module without input_shape, or a graph with one.
        UnsupportedError: the graph holds what ONNX cannot say.

    Example:
        >>> thew.export_onnx(model, "lenet5.onnx", input_shape=("n", 1, 28, 28))
    """
    write_atomically(Path(path), to_model(_graph_of(model, input_shape)).SerializeToString())


def _graph_of(model: Any, input_shape: Any) -> Graph:
    if isinstance(model, Graph):
        if input_shape is not None:
            raise InputError("export_onnx: a graph has its input shapes already; leave input_shape out")
        return model
    from thew.nn import GraphModule

    if isinstance(model, GraphModule) and input_shape is None:
        return model.original
    if input_shape is None:
        raise InputError(f"export_onnx: input_shape must be given for a {type(model).__name__}, as in (1, 3, 224, 224)")
    shapes = [input_shape] if all(isinstance(extent, int | str) for extent in input_shape) else input_shape
    graph: Graph = model.graph(*(tuple(shape) for shape in shapes))
    return graph


def to_model(graph: Graph) -> Any:
    """The ModelProto of a graph."""
    import onnx
    from onnx import helper

    graph = lowered(graph)
    versions = range(OLDEST_OPSET, NEWEST_OPSET)
    opset = next((version for version in versions if _fits(graph, version)), NEWEST_OPSET)
    writer = _Writer(opset)
    proto = writer.graph(graph, {})
    domains = sorted(writer.domains.items())
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, version) for domain, version in domains)]
    model = helper.make_model(proto, opset_imports=imports, producer_name="thew")
    model.ir_version = min(max(helper.find_min_ir_version_for(imports), 8), onnx.IR_VERSION)
    model.functions.extend(writer.functions.values())
    if model.ByteSize() > MAX_FILE_BYTES:
        raise UnsupportedError(
            f"graph '{graph.name}': must take at most {MAX_FILE_BYTES} bytes as ONNX, got {model.ByteSize()}"
        )
    return _with_output_types(model)


def _fits(graph: Graph, opset: int) -> bool:
    """Whether the operator set has all the ops, their attributes and their dtypes."""
    from onnx import helper, shape_inference

    writer = _Writer(opset, with_data=False)
    if not writer.can_say(graph):
        return False
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(*item) for item in writer.domains.items())]
    try:
        shape_inference.infer_shapes(helper.make_model(writer.graph(graph, {}), opset_imports=imports), check_type=True)
    except shape_inference.InferenceError:
        return False
    return True


def _with_output_types(model: Any) -> Any:
    """ONNX wants the types of outputs; those that the graph does not know are inferred."""
    from onnx import shape_inference

    if all(value.type.WhichOneof("value") for value in model.graph.output):
        return model
    known = {value.name: value.type for value in shape_inference.infer_shapes(model).graph.output}
    for value in model.graph.output:
        value.type.CopyFrom(known[value.name])
    return model


class _Writer:
    """Writes one graph and its subgraphs in one operator set."""

    def __init__(self, opset: int, with_data: bool = True) -> None:
        self._opset = opset
        self._with_data = with_data  # without, constants become inputs: enough for checks of types
        self.domains: dict[str, int] = {}
        self.functions: dict[tuple[str, str, str], Any] = {}

    def can_say(self, graph: Graph) -> bool:
        """Whether each node exists in the operator set with the attributes that it has."""
        return all(self._can_say_node(node) for node in graph.nodes)

    def _can_say_node(self, node: Node) -> bool:
        if node.op.startswith((PURE, IMPURE)):
            single = parse_model(node.attributes["model"])
            return _same_operator(single.graph.node[0], _imports(single), {**_imports(single), "": self._opset})
        bodies = [value for value in node.attributes.values() if isinstance(value, Graph)]
        op_type = onnx_name(node.op)
        schema = find_schema(op_type, "", self._opset) if op_type else None
        if schema is None or schema.deprecated:
            return False
        newest: Any = find_schema(op_type or "", "", NEWEST_OPSET)
        changed, attribute = _CHANGED.get(schema.name, (0, ""))
        if len(schema.inputs) != len(newest.inputs) or (self._opset < changed and _is_used(node, attribute)):
            return False
        unknown = [key for key in node.attributes if key not in schema.attributes and key in newest.attributes]
        return not unknown and all(map(self.can_say, bodies))

    def graph(self, graph: Graph, outer: Mapping[str, str]) -> Any:
        """The GraphProto; `outer` renames its values, and names the inputs that it captures instead of taking."""
        import onnx

        proto = onnx.GraphProto(name=graph.name)
        proto.node.extend(self._node(node, outer) for node in graph.nodes)
        for name, array in graph.constants.items():
            if self._with_data:
                proto.initializer.append(to_tensor(array, outer.get(name, name)))
            elif not outer:
                proto.input.append(self._value(name, TensorType(from_numpy(array.dtype), array.shape)))
        for value in graph.inputs:
            if outer.get(value.name) is None or outer[value.name].endswith(_INNER):
                proto.input.append(self._value(outer.get(value.name, value.name), value.type))
        for name in graph.outputs:
            proto.output.append(self._value(outer.get(name, name), graph.type_of(name)))
        return proto

    def _value(self, name: str, known: TensorType | None) -> Any:
        import onnx

        proto = onnx.ValueInfoProto(name=name)
        if known is not None and known.dtype == "opaque":
            if not name.endswith(_INNER):
                raise UnsupportedError(
                    f"value '{name}': must be a tensor to be an input of a written model, got what is none"
                )
        elif known is not None:
            proto.type.CopyFrom(type_proto(known))
        return proto

    def _node(self, node: Node, names: Mapping[str, str]) -> Any:
        import onnx

        if node.op.startswith((PURE, IMPURE)):
            return self._foreign(node, names)
        op_type = onnx_name(node.op)
        if op_type is None:
            raise UnsupportedError(
                f"{node}: ONNX has no operator for {node.op!r}; export the graph as it was before it was planned"
            )
        inputs = list(node.inputs)
        if node.op in _CONTROL:
            inputs = inputs[: len(inputs) - int(node.attributes.get("captured", 0))]  # type: ignore[call-overload]
        proto = onnx.NodeProto(op_type=op_type, name=node.name)
        proto.input.extend(names.get(name, name) for name in inputs)
        proto.output.extend(names.get(name, name) for name in node.outputs)
        schema = find_schema(op_type, "", self._opset)
        for key, value in node.attributes.items():
            if value is None or (
                node.op in _CONTROL and key in ("captured", "batched") and not _is_batched(key, value)
            ):
                continue
            if schema is None or key not in schema.attributes:
                raise UnsupportedError(
                    f"{node}: ONNX has no attribute '{key}' of {op_type} in operator set {self._opset}"
                )
            proto.attribute.append(self._attribute(node, key, value, schema.attributes[key].type.name, names))
        return proto

    def _attribute(self, node: Node, key: str, value: Any, kind: str, names: Mapping[str, str]) -> Any:
        from onnx import helper

        if kind == "GRAPH":
            return helper.make_attribute(key, self._body(node, value, names))
        if kind == "TENSOR":
            return helper.make_attribute(key, to_tensor(np.asarray(value)))
        if kind == "INT" and isinstance(value, str):  # a dtype
            return helper.make_attribute(key, number_of(value) if value else 0)
        converted = _KINDS[kind](value)
        return helper.make_attribute(key, converted, attr_type=_TYPES[kind])

    def _body(self, node: Node, body: Graph, names: Mapping[str, str]) -> Any:
        """A subgraph; its own values get names that no outer value has."""
        count = int(node.attributes.get("captured", 0))  # type: ignore[call-overload]
        captured = [value.name for value in body.inputs[len(body.inputs) - count :]]
        actual = node.inputs[len(node.inputs) - count :]
        own = (
            [value.name for value in body.inputs]
            + [*body.constants]
            + [o for inner in body.nodes for o in inner.outputs if o]
        )
        renamed = {name: f"{node.outputs[0]}/{name}{_INNER}" for name in own}
        renamed.update((inner, names.get(outer, outer)) for inner, outer in zip(captured, actual, strict=True))
        return self.graph(body, renamed)

    def _foreign(self, node: Node, names: Mapping[str, str]) -> Any:
        """The node that a foreign op holds, with the graph's names for its own."""
        single = parse_model(node.attributes["model"])
        proto, imports = single.graph.node[0], _imports(single)
        if not _same_operator(proto, imports, {**imports, "": self._opset}) or any(
            item.g.node for item in proto.attribute
        ):
            raise UnsupportedError(
                f"{node}: cannot be written in operator set {self._opset}; export it from where it came"
            )
        actual = dict(zip((value.name for value in single.graph.input), node.inputs, strict=True))
        inputs = [names.get(actual[name], actual[name]) if name else "" for name in proto.input]
        results = iter(node.outputs)
        outputs = [names.get(result, result) if name and (result := next(results)) else "" for name in proto.output]
        del proto.input[:], proto.output[:]
        proto.input.extend(inputs)
        proto.output.extend(outputs)
        proto.name = node.name
        if proto.domain not in ("", "ai.onnx"):
            self.domains[proto.domain] = imports[proto.domain]
        return proto


_INNER = "~"  # ends the names of values that live in a subgraph
_KINDS: dict[str, Any] = {
    "FLOAT": float,
    "INT": int,
    "STRING": str,
    "FLOATS": lambda value: [float(item) for item in value],
    "INTS": lambda value: [int(item) for item in value],
    "STRINGS": lambda value: [str(item) for item in value],
}
_TYPES = {"FLOAT": 1, "INT": 2, "STRING": 3, "FLOATS": 6, "INTS": 7, "STRINGS": 8}

# Operator sets in which an operator got another meaning without another form, and the attribute that makes the
# difference.
_CHANGED = {
    "AveragePool": (22, "ceil_mode"),
    "MaxPool": (22, "ceil_mode"),
    "LpPool": (22, "ceil_mode"),
    "GridSample": (20, ""),
    "GroupNormalization": (21, ""),
    "Resize": (19, ""),
}


def _is_used(node: Node, attribute: str) -> bool:
    return not attribute or bool(node.attributes.get(attribute))


def _is_batched(key: str, value: Any) -> bool:
    return key == "batched" and bool(value)


def _imports(model: Any) -> dict[str, int]:
    return {"" if item.domain == "ai.onnx" else item.domain: item.version for item in model.opset_import}


def _same_operator(proto: Any, given: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    first, second = (find_schema(proto.op_type, domain, opsets.get(domain, 1)) for opsets in (given, wanted))
    return first is not None and second is not None and bool(first.since_version == second.since_version)


@lru_cache(maxsize=1)
def _onnx_names() -> dict[str, str]:
    from onnx import defs

    return {schema.name.lower(): schema.name for schema in defs.get_all_schemas() if not schema.domain}


def onnx_name(op: str) -> str | None:
    """ONNX's name of an op, or None."""
    return _onnx_names().get(op.replace("_", ""))
