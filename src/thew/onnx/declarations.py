"""What an ONNX graph declares: the types of its values, the operator sets it uses, the names it takes."""

from __future__ import annotations

from typing import Any

from thew.errors import ModelError, UnsupportedError
from thew.ir.graph import Dim, TensorType
from thew.onnx.element_types import dtype_of
from thew.onnx.limits import count_elements
from thew.onnx.schemas import NEWEST_OPSET


def value_type(proto: Any, name: str, where: str) -> TensorType:
    """The type of a value; sequences, optionals and maps are of dtype "opaque"."""
    kind = proto.WhichOneof("value")
    if kind is None:
        raise ModelError(f"{where}: must have a type, got none")
    if kind != "tensor_type":
        if kind == "sparse_tensor_type":
            raise UnsupportedError(f"{where}: sparse tensors are not supported as inputs and outputs")
        return TensorType("opaque", None)
    dtype = dtype_of(proto.tensor_type.elem_type, where)
    if not proto.tensor_type.HasField("shape"):
        return TensorType(dtype, None)
    dims = tuple(_extent(dim, f"{name}_{axis}") for axis, dim in enumerate(proto.tensor_type.shape.dim))
    count_elements(tuple(dim for dim in dims if isinstance(dim, int)), where)
    return TensorType(dtype, dims)


def _extent(dim: Any, symbol: str) -> Dim:
    if dim.HasField("dim_param"):
        return str(dim.dim_param) or symbol
    # Some exporters write -1 for an extent that is open.
    return int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value != -1 else symbol


def opsets_of(imports: Any) -> dict[str, int]:
    """The version of each domain's operator set; ONNX's own is known as the empty domain."""
    versions = {"" if item.domain == "ai.onnx" else item.domain: int(item.version) for item in imports}
    version = versions.get("", 1)
    if not 1 <= version <= NEWEST_OPSET:
        raise UnsupportedError(
            f"model: operator set must be 1 to {NEWEST_OPSET}, got {version}; export the model with one of those"
        )
    return versions


def all_names(proto: Any) -> set[str]:
    """The names that a graph's values have."""
    names = {value.name for value in proto.input} | {tensor.name for tensor in proto.initializer}
    return names | {name for node in proto.node for name in node.output}
