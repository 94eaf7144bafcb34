"""Normalisation: flags of training that older models carry, scales that came one a group."""

from __future__ import annotations

import numpy as np

from thew.onnx.convert.rewrite import Rewrite, converts
from thew.onnx.nodes import OnnxNode


@converts("BatchNormalization", "InstanceNormalization", before=6)
def drop_consumed_inputs(node: OnnxNode, rewrite: Rewrite) -> None:
    """A hint about memory that nobody uses."""
    node.pop("consumed_inputs")


@converts("BatchNormalization", before=7)
def batch_normalization_is_test(node: OnnxNode, rewrite: Rewrite) -> None:
    """Inference was a flag, off where not given; models for inference set it."""
    node.attributes["training_mode"] = 0 if node.pop("is_test", 0) or len(node.outputs) == 1 else 1


@converts("BatchNormalization", before=9)
def batch_normalization_spatial(node: OnnxNode, rewrite: Rewrite) -> None:
    """Statistics per channel are all that is left; `spatial` = 0 asked for them per element."""
    if node.attributes.get("spatial") == 1:
        node.pop("spatial")


@converts("BatchNormalization", before=14)
def batch_normalization_outputs(node: OnnxNode, rewrite: Rewrite) -> None:
    """With more than one output the node trained."""
    if any(node.outputs[1:]):
        node.attributes["training_mode"] = 1


@converts("GroupNormalization", before=21)
def group_normalization_per_group(node: OnnxNode, rewrite: Rewrite) -> None:
    """Scale and bias came one a group: that is instance normalisation with groups for channels."""
    source, output = node.inputs[0], node.outputs[0]
    grouped = rewrite.constant((0, node.pop("num_groups"), -1), np.int64, f"{output}_grouped_extents")
    extents = rewrite.node_before("Shape", [source], f"{output}_extents")
    node.op_type = "InstanceNormalization"
    node.inputs[0] = rewrite.node_before("Reshape", [source, grouped], f"{output}_grouped")
    node.outputs = [rewrite.name(f"{output}_normalised")]
    rewrite.node_after("Reshape", [node.outputs[0], extents], output, allowzero=1)
