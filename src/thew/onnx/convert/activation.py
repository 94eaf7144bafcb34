"""Activations: bounds and ratios were attributes, softmax worked on a matrix, PReLU's slope was aligned with the
channels.
"""

from __future__ import annotations

import numpy as np

from thew.dtypes import to_numpy
from thew.onnx.convert.rewrite import Rewrite, converts
from thew.onnx.nodes import OnnxNode


@converts("Clip", before=11)
def clip_bounds(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attributes `min` and `max` become inputs 1 and 2."""
    dtype = to_numpy(rewrite.dtype(node.inputs[0]) or "fp32")
    for index, name in enumerate(("min", "max"), start=1):
        bound = node.pop(name)
        if bound is not None:
            node.set_input(index, rewrite.constant(bound, dtype, name))


@converts("Dropout", before=7)
def dropout_is_test(node: OnnxNode, rewrite: Rewrite) -> None:
    """Whether to drop was an attribute; inference never drops."""
    node.pop("is_test")


@converts("Dropout", before=12)
def dropout_ratio(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attribute `ratio` becomes input 1."""
    ratio = node.pop("ratio")
    if ratio is not None:
        node.set_input(1, rewrite.constant(ratio, np.float32, "ratio"))


@converts("Softmax", "LogSoftmax", "Hardmax", before=13)
def softmax_on_matrix(node: OnnxNode, rewrite: Rewrite) -> None:
    """The input was taken as a matrix, split before `axis` (1 where none was given): the columns are normalised
    together.
    """
    axis = node.pop("axis", 1)
    node.attributes["axis"] = -1
    if axis == -1:
        return
    source, output = node.inputs[0], node.outputs[0]
    matrix = rewrite.node_before("Flatten", [source], f"{output}_matrix", axis=axis)
    extents = rewrite.node_before("Shape", [source], f"{output}_extents")
    node.inputs, node.outputs = [matrix], [rewrite.name(f"{output}_normalised")]
    # Extents of 0 are meant as such.
    rewrite.node_after("Reshape", [node.outputs[0], extents], output, allowzero=1)
