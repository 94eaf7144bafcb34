"""What ONNX says of an operator: how many inputs and outputs, which attributes with which defaults. Nodes are
checked against it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from thew.errors import UnsupportedError
from thew.onnx.nodes import OnnxNode

NEWEST_OPSET = 28
RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout")
)
CONVERTED = frozenset(("GroupNormalization",))  # deprecated forms that are converted all the same
_ATTRIBUTE_TYPES = {
    "FLOAT": 1, "INT": 2, "STRING": 3, "TENSOR": 4, "GRAPH": 5, "FLOATS": 6, "INTS": 7, "STRINGS": 8,
    "TENSORS": 9, "GRAPHS": 10, "SPARSE_TENSOR": 11, "SPARSE_TENSORS": 12, "TYPE_PROTO": 13, "TYPE_PROTOS": 14,
}  # fmt: skip


@lru_cache(maxsize=4096)
def find_schema(op_type: str, domain: str, opset: int) -> Any | None:
    """The operator's schema at an operator set's version, or None."""
    from onnx import defs

    try:
        return defs.get_schema(op_type, opset, domain)
    except defs.SchemaError:
        return None


def schema_of(node: OnnxNode) -> Any:
    """The schema of a node's operator. Raises UnsupportedError where ONNX has none."""
    schema = find_schema(node.op_type, node.domain, node.opset)
    if schema is None:
        raise UnsupportedError(
            f"{node}: operator set {node.opset} of domain '{node.domain or 'ai.onnx'}' must hold {node.op_type!r}; "
            "export the model with standard operators, or give the operator as a function of the model"
        )
    if schema.deprecated and node.op_type not in CONVERTED:
        raise UnsupportedError(
            f"{node}: {node.op_type} is deprecated in operator set {node.opset}; export the model again"
        )
    return schema


def check_node(node: OnnxNode, proto: Any) -> None:
    """Raises ModelError where a node breaks its schema's counts or attributes."""
    schema = schema_of(node)
    for kind, count, least, most in (
        ("inputs", len(node.inputs), schema.min_input, schema.max_input),
        ("outputs", len(node.outputs), schema.min_output, schema.max_output),
    ):
        if not least <= count <= most:
            raise node.refuse(f"must have {least} to {most} {kind}, got {count}")
    for index in range(min(schema.min_input, len(schema.inputs))):
        if not node.inputs[index] and schema.inputs[index].option.name == "Single":
            raise node.refuse(f"input {index} must be given, got none")
    for attribute in proto.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None:
            if not attribute.name.startswith("__"):  # internal symbols, which ONNX lets pass
                raise node.refuse(f"attributes must be among {sorted(schema.attributes)}, got '{attribute.name}'")
        elif attribute.type != _ATTRIBUTE_TYPES[known.type.name]:
            raise node.refuse(
                f"attribute '{attribute.name}' must be of type {known.type.name}, got type {attribute.type}"
            )
    for name, known in schema.attributes.items():
        if known.required and name not in node.attributes:
            raise node.refuse(f"attribute '{name}' must be given, got none")


@lru_cache(maxsize=4096)
def default_attributes(op_type: str, domain: str, opset: int) -> dict[str, Any]:
    """The defaults of an operator's attributes, of those that have one."""
    from onnx import helper

    schema = find_schema(op_type, domain, opset)
    defaults: dict[str, Any] = {}
    for name, known in schema.attributes.items() if schema else ():
        if known.default_value.type:
            value = helper.get_attribute_value(known.default_value)
            value = value.decode() if isinstance(value, bytes) else value
            defaults[name] = tuple(value) if isinstance(value, list) else value
    return defaults


def latest_opset(op_type: str, domain: str) -> int:
    """The newest operator set in which an operator changed."""
    schema = find_schema(op_type, domain, 2**30)
    return int(schema.since_version) if schema else 0
