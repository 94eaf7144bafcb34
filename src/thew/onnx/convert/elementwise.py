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
    if is_broadcast and axis is not None:
        align(node, rewrite, axis)


@converts("PRelu", before=7)
def slope_per_channel(node: OnnxNode, rewrite: Rewrite) -> None:
    """A slope of several numbers was one a channel."""
    if rewrite.rank(node.inputs[1]) == 1:
        align(node, rewrite, 1)


def align(node: OnnxNode, rewrite: Rewrite, axis: int) -> None:
    """Gives the second input trailing extents of 1, so that its first axis meets `axis` of the first input."""
    rank, own = rewrite.rank(node.inputs[0]), rewrite.rank(node.inputs[1])
    if rank is None or own is None:
        raise node.refuse(
            "broadcasting along an axis (operator sets before 7) needs inputs of known rank; export the model again"
        )
    axis += rank if axis < 0 else 0
    added = tuple(range(own, rank - axis))
    if own and added:
        axes = rewrite.constant(added, np.int64, "axes")
        node.inputs[1] = rewrite.node_before("Unsqueeze", [node.inputs[1], axes], f"{node.outputs[0]}_aligned")


@converts(
    "Abs", "Add", "Ceil", "Clip", "Div", "Elu", "Exp", "Floor", "HardSigmoid", "LeakyRelu", "Log", "Max", "Mean", "Min",
    "Mul", "Neg", "PRelu", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sqrt", "Sub", "Sum", "Tanh", before=6,
)  # fmt: skip
def drop_consumed_inputs(node: OnnxNode, rewrite: Rewrite) -> None:
    """A hint about memory that nobody uses."""
    node.pop("consumed_inputs")


@converts("Cast", before=6)
def cast_by_name(node: OnnxNode, rewrite: Rewrite) -> None:
    """The target was named in words."""
    import onnx

    name = str(node.attributes["to"]).upper()
    numbers = dict(onnx.TensorProto.DataType.items())
    if numbers.get(name) not in NAMES:
        raise node.refuse(f"attribute 'to' must name an element type, got {name!r}")
    node.attributes["to"] = numbers[name]
