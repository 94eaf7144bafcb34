"""Elementwise ops: broadcasting along a given axis, hints about memory, names of dtypes."""

from __future__ import annotations

import numpy as np

from thew.onnx.convert.rewrite import Rewrite, converts
from thew.onnx.element_types import NAMES
from thew.onnx.nodes import OnnxNode


@converts("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor", before=7)
def broadcast_axis(node: OnnxNode, rewrite: Rewrite) -> None:
    """The second input was aligned at `axis`; trailing extents of 1 say the same today."""
    is_broadcast, axis = node.pop("broadcast", 0), node.pop("axis")
    if not is_broadcast or axis is None:
        return
    value = rewrite.value(node.inputs[1])
    rank = node.attributes.pop("~rank", None)
    if value is None or rank is None or axis < 0:
        raise node.refuse("broadcasting along an axis (operator sets before 7) needs a constant second input; export the model again")
    extents = value.shape + (1,) * (rank - axis - value.ndim)
    node.inputs[1] = rewrite.constant(value.reshape(extents), value.dtype, "aligned")


@converts(
    "Abs", "Add", "Ceil", "Clip", "Div", "Elu", "Exp", "Floor", "HardSigmoid", "LeakyRelu", "Log", "Max", "Mean", "Min", "Mul",
    "Neg", "PRelu", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sqrt", "Sub", "Sum", "Tanh", before=6,
)  # fmt: skip
def drop_consumed_inputs(node: OnnxNode, rewrite: Rewrite) -> None:
    """A hint about memory that nobody uses."""
    node.pop("consumed_inputs")


@converts("Cast", before=6)
def cast_by_name(node: OnnxNode, rewrite: Rewrite) -> None:
    """The target was named in words."""
    import onnx

    name = str(node.attributes["to"]).upper()
    if name not in onnx.TensorProto.DataType.keys() or onnx.TensorProto.DataType.Value(name) not in NAMES:
        raise node.refuse(f"attribute 'to' must name an element type, got {name!r}")
    node.attributes["to"] = np.int64(onnx.TensorProto.DataType.Value(name)).item()
