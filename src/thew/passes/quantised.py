"""What passes over quantised graphs ask: which integers stand behind a value, and what quantises a result.

A *quantised* value is one that dequantize_linear makes of 8-bit integers, with one fp32 scale and one zero point, both
constant. The *tail* of a node is a clip or relu, if there is one, and a quantize_linear, each the only reader of what
comes before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thew.ir import Graph, Node
from thew.ir.graph import Array, Attribute
from thew.passes.editor import Editor

BYTES = ("int8", "uint8")


@dataclass(frozen=True)
class Quantised:
    """Names of integers, of their scale and of their zero point, as qlinear ops take them."""

    integers: str
    scale: str
    zero: str

    @property
    def names(self) -> tuple[str, str, str]:
        """The three names in order."""
        return self.integers, self.scale, self.zero


@dataclass(frozen=True)
class Tail:
    """The clip or relu, the quantisation, and the least and most integer that it can give (None: its dtype's)."""

    clip: Node | None
    quantise: Node
    limits: dict[str, int]


def is_plain(node: Node) -> bool:
    """Whether a (de)quantisation is by whole tensor or axis, in its scale's dtype."""
    return not any(node.attributes.get(name) for name in ("block_size", "output_dtype", "precision"))


def step_of(editor: Editor, name: str) -> float | None:
    """The one positive fp32 number that a scale is; None for any other."""
    scale = editor.constant(name)
    if scale is None or scale.size != 1 or scale.dtype != np.float32:
        return None
    value = float(scale.reshape(()))
    return value if np.isfinite(value) and value > 0 else None


def quantised(editor: Editor, name: str) -> Quantised | None:
    """The integers behind a value."""
    node = editor.producer(name)
    if node is None or node.op != "dequantize_linear" or not is_plain(node) or step_of(editor, node.inputs[1]) is None:
        return None
    known = editor.type_of(node.inputs[0]) or (editor.type_of(node.input(2)) if node.input(2) else None)
    if known is None or known.dtype not in BYTES:
        return None
    zero = editor.constant(node.input(2)) if node.input(2) else np.zeros((), known.dtype)
    if zero is None or zero.size != 1:
        return None
    return Quantised(node.inputs[0], node.inputs[1], node.input(2) or editor.add_constant(zero, f"{name}_zero"))


def quantised_constant(editor: Editor, name: str, axis: int, dtypes: tuple[str, ...] = BYTES) -> Quantised | None:
    """The integers behind a weight or bias, whose scale is one number or one for each index along an axis."""
    node = editor.producer(name)
    if node is None or node.op != "dequantize_linear" or not is_plain(node):
        return None
    stored, scale = editor.constant(node.inputs[0]), editor.constant(node.inputs[1])
    if stored is None or scale is None or stored.size == 0 or stored.ndim == 0 or stored.dtype.name not in dtypes:
        return None
    zero = editor.constant(node.input(2)) if node.input(2) else np.zeros(scale.shape, stored.dtype)
    along = int(node.attributes.get("axis", 1)) % stored.ndim  # type: ignore[call-overload]
    if zero is None or scale.dtype != np.float32 or not (np.isfinite(scale) & (scale > 0)).all():
        return None
    if any(array.size not in (1, stored.shape[axis]) for array in (scale, zero)) or (
        max(scale.size, zero.size) > 1 and along != axis % stored.ndim
    ):
        return None
    return Quantised(node.inputs[0], node.inputs[1], node.input(2) or editor.add_constant(zero, f"{name}_zero"))


def steps_of_products(editor: Editor, x: Quantised, weight: Quantised) -> Array:
    """What a product of integers counts: one number, or one a channel."""
    scale = editor.constants[weight.scale].astype(np.float64).reshape(-1)
    return np.asarray(float(editor.constants[x.scale].reshape(())) * scale)


def integer_bias(editor: Editor, name: str, step: Array) -> str | None:
    """The int32 constant behind a bias that counts in steps of the products; None for any other."""
    bias = quantised_constant(editor, name, 0, ("int32",))
    if bias is None or np.any(editor.constants[bias.zero]) or editor.constants[bias.integers].ndim != 1:
        return None
    scale = editor.constants[bias.scale].astype(np.float64).reshape(-1)
    if scale.size not in (1, step.size) and step.size != 1:
        return None
    return bias.integers if np.allclose(scale, step, rtol=1e-6, atol=0) else None


def tail_of(editor: Editor, node: Node, graph: Graph) -> Tail | None:
    """The tail of a node, where it has one and its quantisation is by tensor to 8 bits."""
    clip: Node | None = None
    last = node
    while editor.is_private(last.outputs[0]):
        reader = graph.consumers[last.outputs[0]][0]
        if reader.inputs[0] != last.outputs[0]:
            return None
        if reader.op == "quantize_linear":
            return _with_limits(editor, clip, reader)
        if clip is not None or reader.op not in ("clip", "relu"):
            return None
        clip = last = reader
    return None


def _with_limits(editor: Editor, clip: Node | None, quantise: Node) -> Tail | None:
    step = step_of(editor, quantise.inputs[1])
    zero = editor.constant(quantise.input(2)) if quantise.input(2) else None
    if step is None or zero is None or zero.size != 1 or zero.dtype.name not in BYTES or not is_plain(quantise):
        return None
    if clip is None:
        return Tail(None, quantise, {})
    range_of = np.iinfo(zero.dtype)
    names = (clip.input(1), clip.input(2)) if clip.op == "clip" else ("relu", "")
    limits = {}
    for which, name in zip(("low", "high"), names, strict=True):
        bound = 0.0 if name == "relu" else editor.number(name) if name else None
        if name and (bound is None or np.isnan(bound)):
            return None
        if bound is not None:
            steps = np.rint(np.float32(bound) / np.float32(step)) + float(zero.reshape(()))
            limits[which] = int(np.clip(steps, range_of.min, range_of.max))
    return Tail(clip, quantise, limits)


def replace_with(
    editor: Editor,
    node: Node,
    tail: Tail,
    op: str,
    inputs: tuple[str, ...],
    attributes: Mapping[str, Attribute],
    before: Sequence[Node] = (),
) -> None:
    """Puts an op that gives the tail's integers, after nodes that it needs, in the place of a node and its tail."""
    quantise = tail.quantise
    merged = {**attributes, **tail.limits}
    editor.put(quantise, *before, Node(op, inputs, quantise.outputs, merged, node.name))
    if tail.clip is not None:
        editor.drop(tail.clip)
    editor.drop(node)
