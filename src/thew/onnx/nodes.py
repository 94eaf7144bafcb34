"""NodeProto as the importer sees it: decoded attributes, names that belong to the graph being built, and its
operator set's version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thew.errors import ModelError, UnsupportedError
from thew.onnx.tensors import TensorReader


@dataclass
class OnnxNode:
    """One application of an ONNX operator; converters change copies of it."""

    op_type: str
    domain: str
    opset: int
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    name: str

    def copy(self) -> OnnxNode:
        """A copy whose lists and attributes may be changed."""
        return dataclasses.replace(
            self, inputs=list(self.inputs), outputs=list(self.outputs), attributes=dict(self.attributes)
        )

    def input(self, index: int) -> str:
        """The name of an input; empty where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def set_input(self, index: int, name: str) -> None:
        """Gives an input, with absent ones before it where there were fewer."""
        self.inputs.extend([""] * (index + 1 - len(self.inputs)))
        self.inputs[index] = name

    def pop(self, name: str, default: Any = None) -> Any:
        """Takes an attribute away."""
        return self.attributes.pop(name, default)

    def __str__(self) -> str:
        domain = f"{self.domain}." if self.domain else ""
        return f"{domain}{self.op_type} '{self.name or next(filter(None, self.outputs), '')}'"

    def refuse(self, rule: str) -> ModelError:
        """The error for this node."""
        return ModelError(f"{self}: {rule}")


def node_label(proto: Any) -> str:
    """How errors name a node."""
    return f"{proto.op_type} '{proto.name or next(filter(None, proto.output), '')}'"


def decode_attribute(proto: Any, tensors: TensorReader, where: str) -> Any:
    """The value of an AttributeProto: int, float, str, tuple, array; graphs and types stay protos."""
    if proto.type not in _DECODERS:
        raise ModelError(f"{where}: attribute '{proto.name}' must have one of ONNX's types, got type {proto.type}")
    return _DECODERS[proto.type](proto, tensors, f"{where} attribute '{proto.name}'")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8")


def _sparse_tensors(proto: Any, tensors: TensorReader, where: str) -> Any:
    raise UnsupportedError(f"{where}: lists of sparse tensors are not supported")


_DECODERS: dict[int, Callable[[Any, TensorReader, str], Any]] = {
    1: lambda proto, _, __: float(proto.f),
    2: lambda proto, _, __: int(proto.i),
    3: lambda proto, _, __: _text(proto.s),
    4: lambda proto, tensors, where: tensors.tensor(proto.t, where),
    5: lambda proto, _, __: proto.g,
    6: lambda proto, _, __: tuple(proto.floats),
    7: lambda proto, _, __: tuple(proto.ints),
    8: lambda proto, _, __: tuple(map(_text, proto.strings)),
    9: lambda proto, tensors, where: tuple(tensors.tensor(tensor, where) for tensor in proto.tensors),
    10: lambda proto, _, __: tuple(proto.graphs),
    11: lambda proto, tensors, where: tensors.sparse(proto.sparse_tensor, where),
    12: _sparse_tensors,
    13: lambda proto, _, __: proto.tp,
    14: lambda proto, _, __: tuple(proto.type_protos),
}


def subgraphs(proto: Any) -> list[Any]:
    """The graphs in a node's attributes."""
    graphs = []
    for attribute in proto.attribute:
        if attribute.type == 5:
            graphs.append(attribute.g)
        graphs.extend(attribute.graphs)
    return graphs
