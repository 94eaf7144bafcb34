"""Folds what is affine in each channel into the weights before it: batch normalisation, and arithmetic with constants.

With y = conv(x, w, b) and z_c = scale_c · y_c + shift_c, z = conv(x, scale · w, scale · b + shift). It holds for conv,
conv_transpose and for matmul with a constant matrix, whose channels are its columns. The arithmetic is fp64, rounded
once to the weights' dtype.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from thew.dtypes import FLOATS, from_numpy
from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.ir.pages import empty_constant
from thew.ops import attribute
from thew.passes.editor import Editor
from thew.passes.epilogue import BIAS, RESIDUAL, activation_of, with_input

F64 = NDArray[np.float64]
Affine = tuple[F64 | None, F64 | None]  # scale and shift, one a channel; None for 1 and for 0

_PRODUCTS = frozenset({"conv", "conv_transpose", "matmul"})


def fold_batch_norm(graph: Graph) -> Graph:
    """The graph with affine steps folded into the products before them."""
    editor = Editor(graph)
    for node in editor.walk():
        if node.op in _AFFINE and len([name for name in node.outputs if name]) == 1 and not activation_of(node)[0]:
            _fold(editor, node)
    return editor.graph()


def _fold(editor: Editor, node: Node) -> None:
    for index in (0, 1) if node.op in ("mul", "add") else (0,):
        product = editor.producer(node.inputs[index])
        if product is None or product.op not in _PRODUCTS or not editor.is_private(product.outputs[0]):
            continue
        if activation_of(product)[0] or product.input(RESIDUAL):
            continue
        weight = editor.constant(product.inputs[1])
        bias = editor.constant(product.input(BIAS)) if product.input(BIAS) else None
        if weight is None or from_numpy(weight.dtype) not in FLOATS or (product.input(BIAS) and bias is None):
            continue
        channels = _channels(product, weight)
        if channels is None or (bias is not None and bias.shape not in ((channels,), (1, channels))):
            continue
        affine = _AFFINE[node.op](editor, node, index, product, channels)
        if affine is not None:
            _apply(editor, node, product, weight, bias, affine)
            return


def _apply(editor: Editor, node: Node, product: Node, weight: Array, bias: Array | None, affine: Affine) -> None:
    scale, shift = affine
    folded = product.replace(outputs=(next(name for name in node.outputs if name),))
    if scale is not None:
        scaled = _scale_weight(product, weight, scale)
        folded = with_input(folded, 1, editor.add_constant(scaled, product.inputs[1]))
    total = None if bias is None else bias.reshape(-1).astype(np.float64)
    if total is not None and scale is not None:
        total = total * scale
    if shift is not None:
        total = shift if total is None else total + shift
    if total is not None:
        stem = product.input(BIAS) or f"{folded.outputs[0]}_bias"
        folded = with_input(folded, BIAS, editor.add_constant(total.astype(weight.dtype), stem))
    editor.put(node, folded)
    editor.drop(product)


def _channels(product: Node, weight: Array) -> int | None:
    """Number of output channels; None where they cannot be told."""
    if product.op == "conv":
        return int(weight.shape[0]) if weight.ndim >= 3 else None
    if product.op == "conv_transpose":
        group = int(attribute(product, "group"))
        fits = weight.ndim >= 3 and 1 <= group <= weight.shape[0] and weight.shape[0] % group == 0
        return int(weight.shape[1]) * group if fits else None
    return int(weight.shape[1]) if weight.ndim == 2 else None


def _scale_weight(product: Node, weight: Array, scale: F64) -> Array:
    if product.op == "conv":
        return _multiply(weight, scale.reshape(-1, *[1] * (weight.ndim - 1)))
    if product.op == "matmul":
        return _multiply(weight, scale)
    group = int(attribute(product, "group"))  # (c, oc/group, …): a row belongs to group row // (c/group)
    grouped = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
    return _multiply(grouped, scale.reshape(group, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)


def _multiply(weight: Array, scale: F64) -> Array:
    """The product, computed in fp64 and rounded once, without a copy of the weights in fp64."""
    result = empty_constant(weight.shape, weight.dtype)
    np.multiply(weight, scale, out=result, dtype=np.float64, casting="unsafe")
    return result


def _rank(editor: Editor, product: Node) -> int | None:
    """Rank of a product's result, where it is known."""
    if product.op != "matmul":
        weight = editor.constant(product.inputs[1])
        return None if weight is None else weight.ndim
    shape = editor.static_shape(product.outputs[0])
    return None if shape is None else len(shape)


def _batch_normalization(editor: Editor, node: Node, index: int, product: Node, channels: int) -> Affine | None:
    """scale · (y − mean) / √(variance + ε) + shift; channels are axis 1."""
    if attribute(node, "training_mode") or (product.op == "matmul" and _rank(editor, product) != 2):
        return None
    arrays = [editor.constant(name) for name in node.inputs[1:5]]
    if len(arrays) != 4 or any(array is None or array.shape != (channels,) for array in arrays):
        return None
    scale, shift, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + float(attribute(node, "epsilon")))
        return factor, shift - mean * factor


def _per_channel(editor: Editor, node: Node, index: int, product: Node, channels: int) -> F64 | None:
    """The other operand as one number a channel, where it is a constant that changes nothing else."""
    operand = editor.constant(node.inputs[1 - index])
    if operand is None or from_numpy(operand.dtype) not in FLOATS:
        return None
    if operand.ndim == 0:
        return np.full(channels, operand, np.float64)
    axis = 1 if product.op != "matmul" else -1
    if product.op == "matmul" and operand.ndim == 1:
        rank = 1
    else:
        found = _rank(editor, product)
        if found is None or operand.ndim > found:
            return None
        rank = found
    shape = (1,) * (rank - operand.ndim) + operand.shape
    extent = shape[axis]
    if extent not in (1, channels) or operand.size != extent:
        return None
    return np.broadcast_to(operand.reshape(-1).astype(np.float64), (channels,))


def _mul(editor: Editor, node: Node, index: int, product: Node, channels: int) -> Affine | None:
    factor = _per_channel(editor, node, index, product, channels)
    return None if factor is None else (factor, None)


def _div(editor: Editor, node: Node, index: int, product: Node, channels: int) -> Affine | None:
    divisor = _per_channel(editor, node, index, product, channels)
    if divisor is None or not np.all(np.isfinite(divisor) & (divisor != 0)):
        return None
    return 1.0 / divisor, None


def _add(editor: Editor, node: Node, index: int, product: Node, channels: int) -> Affine | None:
    shift = _per_channel(editor, node, index, product, channels)
    return None if shift is None else (None, shift)


def _sub(editor: Editor, node: Node, index: int, product: Node, channels: int) -> Affine | None:
    shift = _per_channel(editor, node, index, product, channels)
    return None if shift is None else (None, -shift)


_AFFINE: dict[str, Callable[[Editor, Node, int, Node, int], Affine | None]] = {
    "batch_normalization": _batch_normalization,
    "mul": _mul,
    "div": _div,
    "add": _add,
    "sub": _sub,
}
