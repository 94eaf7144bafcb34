"""How valid applications of the ops of training are drawn: gradients, losses, random numbers, updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from op_cases import CASES, Case, Source, channel_norm, conv, gather, pool

from thew import ops
from thew.ops.opdef import call_of
from thew.ops.update import HYPER, NUMBERS, STATES


def _output_shape(op: str, attributes: dict[str, Any], inputs: list[Any]) -> tuple[int, ...]:
    found = ops.get(op).infer(call_of(op, attributes, inputs))[0]
    assert found is not None
    return found.static_shape


def _like(source: Source, array: Any, shape: tuple[int, ...] | None = None) -> Any:
    return source.array(ops.call_of("identity", {}, [array]).type(0).dtype, array.shape if shape is None else shape)


def conv_grad_input(source: Source) -> Case:
    attributes, (x, w, *_) = conv(source)
    dy = _like(source, x, _output_shape("conv", attributes, [x, w]))
    return {**attributes, "input_shape": x.shape}, [dy, w]


def conv_grad_weight(source: Source) -> Case:
    attributes, (x, w, *_) = conv(source)
    dy = _like(source, x, _output_shape("conv", attributes, [x, w]))
    return {**attributes, "kernel_shape": w.shape[2:]}, [dy, x]


def max_pool_grad(source: Source) -> Case:
    attributes, (x,) = pool(source)
    dy = _like(source, x, _output_shape("max_pool", attributes, [x]))
    return {**attributes, "activation": source.one_of("", "relu")}, [x, dy]


def average_pool_grad(source: Source) -> Case:
    attributes, (x,) = pool(source, count_include_pad=source.count(0, 1))
    dy = _like(source, x, _output_shape("average_pool", attributes, [x]))
    return {**attributes, "input_shape": x.shape}, [dy]


def batch_norm_training(source: Source) -> Case:
    _, inputs = channel_norm(source, 4)
    return {"momentum": source.one_of(0.1, 1.0)}, inputs


def batch_norm_grad(source: Source) -> Case:
    _, (x, *vectors) = channel_norm(source, 3)
    return {}, [_like(source, x), x, *vectors]


def batch_norm_moments(source: Source) -> Case:
    _, (x, *_) = channel_norm(source, 2)
    return {"ranks": source.count(1, 3)}, [x]


def batch_norm_sums(source: Source) -> Case:
    _, (x, *vectors) = channel_norm(source, 2)
    return {}, [_like(source, x), x, *vectors]


def all_reduce(source: Source) -> Case:
    _, (x, *_) = channel_norm(source, 2)
    return {"slot": source.count(0, 3)}, [x]


def activation_grad(source: Source) -> Case:
    from thew.ops.activation_grad import DERIVATIVES

    kind, shape = source.float_type(), source.shape()
    attributes: dict[str, Any] = {"activation": source.one_of(*DERIVATIVES)}
    if attributes["activation"] == "clip":
        attributes["activation_parameters"] = (-1.0, 1.5)
    return attributes, [source.array(kind, shape), source.array(kind, shape)]


def cross_entropy(source: Source) -> Case:
    shape, kind = source.shape(2, 4, 1), source.float_type()
    labels = source.random.integers(0, shape[1], (shape[0], *shape[2:])).astype(source.one_of(np.int64, np.int32))
    weights = [np.abs(source.array(kind, shape[1:2]))] if source.flag() else []
    attributes = {
        "reduction": source.one_of("sum", "mean"),
        "label_smoothing": source.one_of(0.0, 0.1),
        "ignore_index": source.one_of(-100, 0),
    }
    return attributes, [source.array(kind, shape), labels, *weights]


def dropout_training(source: Source) -> Case:
    x = source.array(source.float_type(), source.shape())
    seed, offset = (np.array([source.count(0, 2**40)], np.int64) for _ in range(2))
    return {"ratio": source.one_of(0.0, 0.3, 0.5), "stream": source.count(0, 3)}, [x, seed, offset]


def gather_grad(source: Source) -> Case:
    attributes, (x, indices) = gather(source)
    dy_shape = _output_shape("gather", attributes, [x, indices])
    dtype = source.float_type()
    return {**attributes, "input_shape": x.shape}, [source.array(dtype, dy_shape), indices]


def update(op: str) -> Callable[[Source], Case]:
    """All states are given; a factor now and then, and with it 0, which skips."""

    def drawn(source: Source) -> Case:
        shape, kind = source.shape(), source.float_type()
        param, grad = source.array(kind, shape), source.array(source.float_type(), shape)
        hyper = source.random.uniform(0.1, 0.9, len(HYPER[op]))
        factor = np.array([source.one_of(0.0, 1.0, 0.25)]) if source.flag() else None
        states = [np.abs(source.array(kind, shape)) for _ in STATES[op]]
        numbers = [np.array([0.5]) if name == "product" else np.array([3.0]) for name in NUMBERS[op]]
        return {}, [param, grad, hyper, factor, *states, *numbers]

    return drawn


def unscale_check(source: Source) -> Case:
    gradients = [source.array(source.float_type(), source.shape()) for _ in range(source.count(1, 3))]
    return {}, [np.array([source.one_of(1.0, 1024.0)]), np.array([source.one_of(np.inf, 0.5)]), *gradients]


def update_loss_scale(source: Source) -> Case:
    state = np.array([1024.0, source.count(0, 3), 2.0])
    return {}, [state, np.array([source.one_of(0.0, 1.0)]), np.array([2.0, 0.5, 3.0, 1.0, 2.0**24])]


def straight_through(source: Source) -> Case:
    shape, kind = source.shape(), source.float_type()
    q, x = source.array(kind, shape), source.array(kind, shape)
    bounds = [source.array(kind, ()) for _ in range(2)] if source.flag() else []
    return {}, [q, x, *bounds]


def moving_average(source: Source) -> Case:
    shape, kind = source.shape(), source.float_type()
    return {"momentum": source.one_of(0.0, 0.01, 1.0)}, [source.array(kind, shape), source.array(kind, shape)]


def _tree(source: Source) -> Any:
    leaves = source.count(1, 9)
    tree = np.zeros(2 * leaves)
    for node in range(2 * leaves - 1, 0, -1):
        tree[node] = source.count(0, 3) if node >= leaves else tree[2 * node] + tree[2 * node + 1]
    return tree


def sample_sum_tree(source: Source) -> Case:
    return {}, [_tree(source), np.array([source.count(0, 9) / 10 for _ in range(source.count(1, 5))])]


def update_sum_tree(source: Source) -> Case:
    tree, count = _tree(source), source.count(1, 5)
    slots = np.array([source.count(0, len(tree) // 2 - 1) for _ in range(count)])
    return {}, [tree, slots, np.array([float(source.count(0, 9)) for _ in range(count)])]


def count_update(source: Source) -> Case:
    return {}, [np.array([4.0]), *([np.array([source.one_of(0.0, 1.0)])] if source.flag() else [])]


ALL: dict[str, Callable[[Source], Case]] = {
    **CASES,
    "activation_grad": activation_grad,
    "average_pool_grad": average_pool_grad,
    **dict.fromkeys(("all_reduce_begin", "all_reduce_end"), all_reduce),
    "batch_norm_grad": batch_norm_grad,
    "batch_norm_moments": batch_norm_moments,
    "batch_norm_sums": batch_norm_sums,
    "batch_norm_training": batch_norm_training,
    "conv_grad_input": conv_grad_input,
    "conv_grad_weight": conv_grad_weight,
    "count_update": count_update,
    "straight_through": straight_through,
    "moving_average": moving_average,
    "dropout_training": dropout_training,
    "gather_grad": gather_grad,
    "max_pool_grad": max_pool_grad,
    "sample_sum_tree": sample_sum_tree,
    "softmax_cross_entropy": cross_entropy,
    "unscale_check": unscale_check,
    "update_loss_scale": update_loss_scale,
    "update_sum_tree": update_sum_tree,
    **{op: update(op) for op in HYPER},
}
