"""Ops that move data or change shapes: what once were attributes become inputs."""

from __future__ import annotations

import numpy as np

from thew.dtypes import to_numpy
from thew.onnx.convert.rewrite import Rewrite, converts
from thew.onnx.nodes import OnnxNode


@converts("Reshape", before=5)
def reshape_shape(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attribute `shape` becomes input 1."""
    node.set_input(1, rewrite.constant(node.pop("shape", ()), np.int64, "shape"))


@converts("Concat", before=4)
def concat_axis(node: OnnxNode, rewrite: Rewrite) -> None:
    """The axis was 1 where none was given."""
    node.attributes.setdefault("axis", 1)


@converts("Split", before=13)
def split_sizes(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attribute `split` becomes input 1."""
    sizes = node.pop("split")
    if sizes is not None:
        node.set_input(1, rewrite.constant(sizes, np.int64, "split"))


@converts("Split", before=18)
def split_parts(node: OnnxNode, rewrite: Rewrite) -> None:
    """Without sizes, there were as many equal parts as outputs."""
    if not node.input(1):
        node.attributes["num_outputs"] = len(node.outputs)


@converts("Slice", before=10)
def slice_bounds(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attributes `starts`, `ends` and `axes` become inputs 1 to 3."""
    for index, name in enumerate(("starts", "ends", "axes"), start=1):
        values = node.pop(name)
        if values is not None:
            node.set_input(index, rewrite.constant(values, np.int64, name))


@converts("Pad", before=11)
def pad_amounts(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attributes `pads` (once `paddings`) and `value` become inputs 1 and 2."""
    pads = node.pop("pads", node.pop("paddings"))
    node.set_input(1, rewrite.constant(pads, np.int64, "pads"))
    value = node.pop("value", 0.0)
    dtype = rewrite.dtype(node.inputs[0])
    if value or dtype:
        node.set_input(2, rewrite.constant(value, to_numpy(dtype or "fp32"), "value"))


@converts("Tile", before=6)
def tile_repeats(node: OnnxNode, rewrite: Rewrite) -> None:
    """Tile took one count and one axis; models with it are older than Thew supports."""
    raise node.refuse("Tile of operator sets before 6 is not supported; export the model again")


@converts("Upsample", before=7)
def upsample_scale_attributes(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attributes `height_scale` and `width_scale` become `scales` of an image batch."""
    node.attributes["scales"] = (1.0, 1.0, node.pop("height_scale", 1.0), node.pop("width_scale", 1.0))


@converts("Upsample", before=9)
def upsample_scales(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attribute `scales` becomes input 1."""
    node.set_input(1, rewrite.constant(node.pop("scales"), np.float32, "scales"))


@converts("Upsample", before=10)
def upsample_to_resize(node: OnnxNode, rewrite: Rewrite) -> None:
    """Upsample became Resize, with the same inputs."""
    node.op_type = "Resize"
    node.inputs[1:] = ["", node.inputs[1]]
    _first_resize(node)


@converts("Resize", before=11)
def resize_first_form(node: OnnxNode, rewrite: Rewrite) -> None:
    """The first Resize took scales as input 1."""
    node.inputs[1:] = ["", node.inputs[1]]
    _first_resize(node)


def _first_resize(node: OnnxNode) -> None:
    node.attributes["mode"] = node.attributes.get("mode", "nearest").replace("bilinear", "linear")
    node.attributes["coordinate_transformation_mode"] = "asymmetric"
    node.attributes["nearest_mode"] = "floor"


@converts("Shape", before=13)
@converts("Size", "Identity", "Transpose", "Gather", "GatherElements", before=13)
@converts("DepthToSpace", before=11)
def unchanged(node: OnnxNode, rewrite: Rewrite) -> None:
    """Later operator sets only took more dtypes, or attributes whose defaults mean the older form."""


@converts("Scatter", before=11)
def scatter_name(node: OnnxNode, rewrite: Rewrite) -> None:
    """Scatter is ScatterElements."""
    node.op_type = "ScatterElements"


@converts("TopK", before=10)
def top_k_count(node: OnnxNode, rewrite: Rewrite) -> None:
    """The attribute `k` becomes input 1."""
    node.set_input(1, rewrite.constant([node.pop("k")], np.int64, "k"))
