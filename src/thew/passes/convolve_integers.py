"""A convolution between dequantised inputs and a quantisation works on the integers themselves, kept in floats.

conv(s·(q − z), t·(w − u), s·t·b), quantised with step r, is conv(q − z, w − u, b) quantised with step r / (s·t): every
product and every sum is an integer below 2²⁴, which fp32 holds exactly, so that only the quantisation rounds. With the
scales inside, roundings of the last bit turn steps over, and over many layers pictures into other classes (measured:
85.8 instead of 86.8 % of 500 pictures for MobileNetV2). Runs before constants are folded, while weights are still seen
as integers. The form of the arithmetic is that of Jacob et al. 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.passes.editor import Editor

EXACT = 2**24  # integers up to here are exact in fp32
_INTEGERS = ("int8", "uint8")


def convolve_integers(graph: Graph) -> Graph:
    """The graph with exact convolutions where a quantised one is followed by a quantisation."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op == "conv" and not node.attributes.get("activation") and len(node.inputs) <= 3:
            _rewrite(editor, node, graph)
    return editor.graph()


@dataclass(frozen=True)
class _Quantised:
    """Integers less their zero point, and the step they count."""

    integers: Array
    scale: Array


def _rewrite(editor: Editor, node: Node, graph: Graph) -> None:
    source, weight = editor.producer(node.inputs[0]), _constant(editor, node.inputs[1])
    if source is None or source.op != "dequantize_linear" or weight is None or not _is_plain(source):
        return
    scale = editor.constant(source.inputs[1])
    if (
        scale is None
        or scale.size != 1
        or not _is_8_bit(editor, source)
        or weight.scale.size not in (1, weight.integers.shape[0])
    ):
        return
    step = (scale.reshape(()).astype(np.float64) * weight.scale.astype(np.float64)).reshape(-1)
    if not (np.isfinite(step) & (step > 0)).all():
        return
    bias = _integer_bias(editor, node.input(2), step)
    tail = _tail(editor, node, graph)
    if bias is None or tail is None or not _is_exact(weight.integers, bias):
        return
    clip, quantise = tail
    if not _scale_tail(editor, clip, quantise, step, dry=True):
        return
    dtype, stem = scale.dtype, node.outputs[0]
    one = editor.add_constant(np.ones((), dtype), f"{stem}_one")
    shifted = editor.fresh(f"{stem}_integers")
    names = [shifted, editor.add_constant(weight.integers.astype(dtype), f"{stem}_weight")]
    names += [editor.add_constant(bias.astype(dtype), f"{stem}_bias")] if node.input(2) else []
    shift = source.replace(inputs=(source.inputs[0], one, *source.inputs[2:]), outputs=(shifted,), name=shifted)
    editor.put(node, shift, node.replace(inputs=tuple(names)))
    _scale_tail(editor, clip, quantise, step, dry=False)


def _is_8_bit(editor: Editor, node: Node) -> bool:
    """Whether what a node dequantises is known to have 8 bits; its zero point has the same dtype."""
    known = editor.type_of(node.inputs[0]) or (editor.type_of(node.input(2)) if node.input(2) else None)
    zero = editor.constant(node.input(2)) if node.input(2) else None
    return known is not None and known.dtype in _INTEGERS and (zero is None or zero.size == 1)


def _is_plain(node: Node) -> bool:
    return not node.attributes.get("block_size") and not node.attributes.get("output_dtype")


def _constant(editor: Editor, name: str) -> _Quantised | None:
    """A dequantised constant whose scale is one number, or one for each first index."""
    node = editor.producer(name)
    if node is None or node.op != "dequantize_linear" or not _is_plain(node):
        return None
    stored, scale = editor.constant(node.inputs[0]), editor.constant(node.inputs[1])
    zero = editor.constant(node.input(2)) if node.input(2) else np.zeros((), np.int64)
    if stored is None or scale is None or zero is None or stored.size == 0 or stored.ndim == 0:
        return None
    if stored.dtype not in (np.int8, np.uint8, np.int32) or scale.dtype.kind != "f":
        return None
    if scale.size > 1 and node.attributes.get("axis", 1) not in (0, -stored.ndim):
        return None
    if scale.size not in (1, stored.shape[0]) or zero.size not in (1, stored.shape[0]):
        return None
    shape = (-1,) + (1,) * (stored.ndim - 1)
    return _Quantised(stored.astype(np.int64) - zero.astype(np.int64).reshape(shape), scale.reshape(-1))


def _integer_bias(editor: Editor, name: str, step: Array) -> Array | None:
    """The bias in steps of the products: zeros where there is none, None where it is no whole number of them."""
    if not name:
        return np.zeros(1, np.int64)
    bias = _constant(editor, name)
    if bias is None or bias.integers.ndim != 1 or bias.scale.size not in (1, step.size):
        return None
    if not np.allclose(bias.scale.astype(np.float64), step, rtol=1e-6, atol=0):
        return None
    return bias.integers


def _is_exact(weight: Array, bias: Array) -> bool:
    """Whether no sum of products with 8-bit integers, at most 255 from any zero point, can pass what fp32 holds."""
    if bias.size not in (1, weight.shape[0]):
        return False
    sums = 255.0 * np.abs(weight).reshape(weight.shape[0], -1).sum(axis=1)
    return bool(np.all(sums + np.abs(bias) <= EXACT))


def _tail(editor: Editor, node: Node, graph: Graph) -> tuple[Node | None, Node] | None:
    """The clip or relu that alone reads the convolution, if there is one, and the quantisation that alone reads it."""
    clip: Node | None = None
    last = node
    while editor.is_private(last.outputs[0]):
        reader = graph.consumers[last.outputs[0]][0]
        if reader.op == "quantize_linear":
            zero = editor.type_of(reader.input(2)) if reader.input(2) else None
            plain = zero is not None and zero.dtype in _INTEGERS and not reader.attributes.get("block_size")
            return (clip, reader) if plain and reader.inputs[0] == last.outputs[0] else None
        if clip is not None or reader.op not in ("clip", "relu") or reader.inputs[0] != last.outputs[0]:
            return None
        clip = last = reader
    return None


def _scale_tail(editor: Editor, clip: Node | None, quantise: Node, step: Array, dry: bool) -> bool:
    """Divides bounds and quantisation step by the step of the products. Says whether it can; with `dry`, only that."""
    own, zero = editor.constant(quantise.inputs[1]), editor.constant(quantise.inputs[2])
    bounds = [editor.constant(name) if name else None for name in clip.inputs[1:]] if clip else []
    names = list(clip.inputs[1:]) if clip else []
    if own is None or zero is None or own.size != 1 or zero.size != 1 or (np.unique(step).size > 1 and any(names)):
        return False
    if any(name and (bound is None or bound.size != 1) for name, bound in zip(names, bounds, strict=True)):
        return False
    if dry:
        return True
    if clip is not None:
        scaled = [_divided(editor, bound, step[:1], name) for bound, name in zip(bounds, names, strict=True)]
        editor.put(clip, clip.replace(inputs=(clip.inputs[0], *scaled)))
    per_channel = np.unique(step).size > 1
    ratio = own.astype(np.float64).reshape(-1) / (step if per_channel else step[:1])
    shape: tuple[int, ...] = (-1,) if per_channel else ()
    scale = editor.add_constant(ratio.astype(own.dtype).reshape(shape), f"{quantise.outputs[0]}_scale")
    attributes: dict[str, Any] = dict(quantise.attributes)
    last = quantise.inputs[2]
    if per_channel:
        attributes["axis"] = 1
        last = editor.add_constant(np.full(step.size, zero.reshape(()), zero.dtype), f"{quantise.outputs[0]}_zero")
    editor.put(quantise, quantise.replace(inputs=(quantise.inputs[0], scale, last), attributes=attributes))
    return True


def _divided(editor: Editor, bound: Array | None, step: Array, name: str) -> str:
    if bound is None:
        return name
    return editor.add_constant((bound.astype(np.float64) / step[0]).astype(bound.dtype).reshape(()), f"{name}_steps")
