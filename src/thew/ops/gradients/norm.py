"""Gradients of normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from thew.ops.gradients.backward import Backward, Gradients
from thew.ops.opdef import differentiate_by


def _only(back: Backward, gradients: Sequence[str], *indices: int) -> Gradients:
    """The gradients of these inputs in turn; None for all others."""
    found = dict(zip(indices, gradients, strict=True))
    return [found.get(index) if back.wants(index) else None for index in range(len(back.node.inputs))]


@differentiate_by("batch_norm_training")
def _batch_norm_training(back: Backward) -> Gradients:
    mean, inverse = back.node.outputs[3:5]
    inputs = [back.dy, back.x, back.node.inputs[1], mean, inverse]
    if back.call.has(5):
        sums = back.op("batch_norm_sums", back.dy, back.x, mean, inverse)
        inputs.append(back.op("all_reduce_end", back.op("all_reduce_begin", sums)))
    return _only(back, back.ops("batch_norm_grad", inputs, 3, ranks=back.call.attribute("ranks")), 0, 1, 2)


@differentiate_by("batch_normalization")
def _batch_normalization(back: Backward) -> Gradients:
    """With statistics given it is an affine map of each channel: dx = dy · scale / √(variance + ε)."""
    if back.call.attribute("training_mode"):
        raise back.refuse("in training it must keep its statistics, as batch_norm_training")
    x, scale, _, mean, variance = back.node.inputs
    channels = (1, -1, *[1] * (len(back.shape(x)) - 2))
    shifted = back.op("add", variance, back.number(back.call.attribute("epsilon"), variance))
    inverse = back.op("reciprocal", back.op("sqrt", shifted))

    def wide(name: str) -> str:
        return back.op("cast", back.reshaped(name, channels), to=back.call.type(0).dtype)

    axes = [0, *range(2, len(back.shape(x)))]
    grads: list[str | None] = [None] * 5
    if back.wants(0):
        grads[0] = back.op("mul", back.dy, wide(back.op("mul", scale, inverse)))
    if back.wants(1):
        standard = back.op("mul", back.op("sub", x, wide(mean)), wide(inverse))
        total = back.summed(back.op("mul", back.dy, standard), axes)
        grads[1] = back.op("cast", total, to=back.call.type(1).dtype)
    if back.wants(2):
        grads[2] = back.op("cast", back.summed(back.dy, axes), to=back.call.type(2).dtype)
    if back.wants(3) or back.wants(4):
        raise back.refuse("its statistics have no gradient")
    return grads


def _standardised(back: Backward, rows: int, scale: str) -> tuple[str, str]:
    """dx of y = x̂ · scale where x̂ is standardised over each of so many equal rows, and dy · x̂.

    dx = inv_std · (g − mean(g) − x̂ · mean(g · x̂)) with g = dy · scale, of ops that all have kernels.
    """
    shape = back.shape(back.x)
    flat = (rows, prod(shape) // rows if rows else 0)

    def mean(name: str) -> str:
        return back.op("reduce_mean", name, back.ints(1), keepdims=1)

    x, g = back.reshaped(back.x, flat), back.reshaped(back.op("mul", back.dy, scale), flat)
    centred = back.op("sub", x, mean(x))
    variance = mean(back.op("mul", centred, centred))
    shifted = back.op("add", variance, back.number(back.call.attribute("epsilon"), variance))
    inverse = back.op("reciprocal", back.op("sqrt", shifted))
    standard = back.op("mul", centred, inverse)
    along = back.op("mul", standard, mean(back.op("mul", g, standard)))
    dx = back.op("mul", back.op("sub", back.op("sub", g, mean(g)), along), inverse)
    return back.reshaped(dx, shape), back.op("mul", back.dy, back.reshaped(standard, shape))


@differentiate_by("layer_normalization")
def _layer_normalization(back: Backward) -> Gradients:
    shape, scale = back.shape(back.x), back.node.inputs[1]
    axis = back.call.attribute("axis") % max(len(shape), 1)
    dx, products = _standardised(back, prod(shape[:axis]), scale)
    bias = back.sum_to(back.dy, back.call.shape(2)) if back.wants(2) else ""
    return _only(back, (dx, back.sum_to(products, back.shape(scale)), bias), 0, 1, 2)


@differentiate_by("group_normalization", "instance_normalization")
def _group_normalization(back: Backward) -> Gradients:
    """The instances are groups of one channel."""
    n, c, *spatial = back.shape(back.x)
    groups = c if back.node.op == "instance_normalization" else back.call.attribute("num_groups")
    scale = back.reshaped(back.node.inputs[1], (c, *[1] * len(spatial)))
    dx, products = _standardised(back, n * groups, scale)
    axes = [0, *range(2, 2 + len(spatial))]
    return _only(back, (dx, back.summed(products, axes), back.summed(back.dy, axes)), 0, 1, 2)


@differentiate_by("lrn")
def _lrn(back: Backward) -> Gradients:
    """With s = bias + α/size · Σ x² over the window: dx = dy · s^−β − 2αβ/size · x · Σ' dy · y / s, Σ' over those that
    have the channel in their windows.
    """
    shape, size = back.call.shape(0), back.call.attribute("size")
    low, high = (size - 1) // 2, size // 2
    flat = (shape[0], 1, shape[1], prod(shape[2:]))

    def window_sum(name: str, before: int, after: int) -> str:
        pooled = back.op(
            "average_pool", back.reshaped(name, flat), kernel_shape=(size, 1), pads=(before, 0, after, 0),
            count_include_pad=1,
        )  # fmt: skip
        return back.reshaped(back.scaled(pooled, size), shape)

    alpha, beta = back.call.attribute("alpha") / size, back.call.attribute("beta")
    squares = window_sum(back.op("mul", back.x, back.x), low, high)
    scale = back.op("add", back.scaled(squares, alpha), back.number(back.call.attribute("bias"), back.x))
    direct = back.op("mul", back.dy, back.op("pow", scale, back.number(-beta, back.x)))
    shared = window_sum(back.op("div", back.op("mul", back.dy, back.y), scale), high, low)
    return [back.op("sub", direct, back.scaled(back.op("mul", back.x, shared), 2 * alpha * beta))]
