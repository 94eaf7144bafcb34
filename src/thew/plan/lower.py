"""How each node becomes steps or views.

`VIEWS` holds the ops that only move data, and so are views where possible and strided copies where not (and the one
that is several steps of another op, on views); every other op is one step of its best candidate. `NORMALISED` gives the
attributes that a step wants in resolved form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from thew.ir import Node
from thew.ops import Call, conv, conv_grad, get, pool, pool_grad
from thew.ops.reduce import resolved_axes
from thew.ops.window import Window
from thew.plan.alternatives import MAX_RANK, PLAIN, Alternative
from thew.plan.blocking import APART, BLOCKINGS, FITTED
from thew.plan.builder import Builder, Located, NoKernel
from thew.plan.choices import Choice, key_of
from thew.plan.collective import lower_collective
from thew.plan.layouts import plain_strides, same_layout
from thew.plan.transposed import lower_conv_transpose


class Refused(Exception):
    """No row accepts a node in the layouts decided on."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node


def lower(builder: Builder, node: Node) -> None:
    """Appends the steps of a node and locates its outputs. Raises Refused where that cannot be as decided."""
    reasons = []
    for alternative in builder.decided[key_of(node)]:
        try:
            if alternative.candidate.family == "view":
                VIEWS[node.op](builder, node, builder.call(node))
            else:
                _lower_to_kernel(builder, node, alternative)
        except NoKernel as error:
            reasons.append(str(error))
        else:
            builder.choices[key_of(node)] = alternative.choice
            return
    raise Refused(node, "; ".join(dict.fromkeys(reasons)))


def _lower_to_kernel(builder: Builder, node: Node, alternative: Alternative) -> None:
    call = builder.call(node)
    inputs = [builder.source(node, position) if name else None for position, name in enumerate(node.inputs)]
    names = [name for name in node.outputs if name]
    layout, weights = alternative.choice.layout, get(node.op).weights[1]
    outputs = [
        builder.output(name, PLAIN if position in weights else layout)
        for position, name in enumerate(node.outputs)
        if name
    ]
    attributes = step_attributes(call)
    attributes.update(_execution(builder, alternative.choice))
    builder.emit([alternative.row], node, inputs, outputs, attributes, get(node.op).flops(call))
    builder.located.update(zip(names, outputs, strict=True))
    if not builder.options.layouts:
        builder.located.update({name: builder.view(name, "plain") for name in names})


def _execution(builder: Builder, choice: Choice) -> dict[str, Any]:
    """How a step runs beside what it computes, as attributes that no op has: see `native/bind/bind.hpp`."""
    found = how_attributes(choice, builder.target.threads)
    if not builder.options.fitted_blocking:
        found["caches"] = "generic"
    if builder.target.sharing:
        found["sharing"] = builder.target.sharing
    return found


def how_attributes(choice: Choice, threads: int) -> dict[str, Any]:
    """A choice's threads, where they are fewer than the plan's, and blocking, where it is not the fitted one."""
    found: dict[str, Any] = {}
    if choice.threads < threads:
        found["threads"] = choice.threads
    if choice.blocking == APART:
        found[APART] = 1
    elif choice.blocking != FITTED:
        found["blocking"] = BLOCKINGS[choice.blocking]
    return found


def step_attributes(call: Call) -> dict[str, Any]:
    """A node's attributes with defaults filled in and resolved where kernels want numbers; only what JSON can hold."""
    attributes = {**get(call.node.op).attributes, **call.node.attributes}
    normalise = NORMALISED.get(call.node.op)
    if normalise is not None:
        attributes.update(normalise(call))
    return {
        name: value
        for name, value in attributes.items()
        if isinstance(value, int | float | str | tuple) and value != ()
    }


def _window(window: Callable[[Call], Window]) -> Callable[[Call], Mapping[str, Any]]:
    """The geometry in full: pads resolved, defaults filled in."""

    def resolved(call: Call) -> Mapping[str, Any]:
        found = window(call)
        geometry = {
            "kernel_shape": found.kernel,
            "strides": found.strides,
            "dilations": found.dilations,
            "pads": found.pads,
        }
        return {**{name: tuple(map(int, values)) for name, values in geometry.items()}, "auto_pad": "NOTSET"}

    return resolved


def _axis(call: Call) -> Mapping[str, Any]:
    rank = len(call.shape(0))
    return {"axis": call.attribute("axis") % rank if rank else 0}


def _axes(call: Call) -> Mapping[str, Any]:
    axes = resolved_axes(call)
    if axes is None:
        raise NoKernel(call.node, "its axes must be constant")
    return {"axes": tuple(map(int, axes))}


NORMALISED: dict[str, Callable[[Call], Mapping[str, Any]]] = {
    **dict.fromkeys(("conv", "conv_integer"), _window(conv.window)),
    "qlinear_conv": _window(lambda call: conv.window(call, 3)),
    "max_pool": _window(pool.window),
    "average_pool": _window(pool.window),
    "conv_grad_input": _window(lambda call: conv.window(conv_grad.forward_call(call))),
    "conv_grad_weight": _window(lambda call: conv.window(conv_grad.forward_call(call))),
    "max_pool_grad": _window(lambda call: pool.window(pool_grad.forward_call(call))),
    "average_pool_grad": _window(lambda call: pool.window(pool_grad.forward_call(call))),
    **dict.fromkeys(
        (
            "softmax",
            "log_softmax",
            "gather",
            "arg_max",
            "arg_min",
            "quantize_linear",
            "dequantize_linear",
            "layer_normalization",
        ),
        _axis,
    ),
    **{
        f"reduce_{name}": _axes
        for name in ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp")
    },
}


# Views


def _alias(builder: Builder, node: Node, located: Located) -> None:
    builder.located[node.outputs[0]] = located


def _reshape(builder: Builder, node: Node, call: Call) -> None:
    """Same data, other shape: needs C order, which a 1×1 image in channels-last has as well."""
    found = builder.graph.type_of(node.outputs[0])
    assert found is not None
    source = builder.source(node)
    _alias(builder, node, replace(source, shape=found.static_shape, strides=plain_strides(found.static_shape)))


def _identity(builder: Builder, node: Node, call: Call) -> None:
    _alias(builder, node, builder.source(node))


def _transpose(builder: Builder, node: Node, call: Call) -> None:
    source = builder.source(node)
    order = call.node.attributes.get("perm") or tuple(reversed(range(len(source.shape))))
    assert isinstance(order, tuple)
    axes = [int(axis) for axis in order]
    shape, strides = (tuple(values[axis] for axis in axes) for values in (source.shape, source.strides))
    _alias(builder, node, replace(source, shape=shape, strides=strides))


def _constant_ints(call: Call, index: int) -> list[int]:
    values = call.value(index)
    if values is None:
        raise NoKernel(call.node, f"input {index} must be constant")
    return [int(value) for value in np.asarray(values).reshape(-1)]


def _slice(builder: Builder, node: Node, call: Call) -> None:
    view = builder.source(node)
    starts, ends = _constant_ints(call, 1), _constant_ints(call, 2)
    axes = _constant_ints(call, 3) if call.has(3) else list(range(len(starts)))
    steps = _constant_ints(call, 4) if call.has(4) else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= len(view.shape)
        first, last, stride = (
            slice(start, end, step).indices(view.shape[axis])
            if step > 0
            else _backwards(start, end, step, view.shape[axis])
        )
        view = view.sliced(axis, first, len(range(first, last, stride)), stride)
    _alias(builder, node, view)


def _backwards(start: int, end: int, step: int, extent: int) -> tuple[int, int, int]:
    """ONNX's rule for negative steps: start is clamped to [0, extent - 1], end to [-1, extent - 1]."""
    first = start + extent if start < 0 else start
    last = end + extent if end < 0 else end
    return min(max(first, 0), extent - 1), min(max(last, -1), extent - 1), step


def _split(builder: Builder, node: Node, call: Call) -> None:
    view = builder.source(node)
    axis = call.attribute("axis") % len(view.shape)
    start = 0
    for name in node.outputs:
        found = builder.graph.type_of(name)
        assert found is not None
        extent = found.static_shape[axis]
        builder.located[name] = view.sliced(axis, start, extent)
        start += extent


def _concat(builder: Builder, node: Node, call: Call) -> None:
    """Inputs that were written in place need nothing; the others are copied to their slice."""
    whole = builder.destinations[node.outputs[0]]
    axis = call.attribute("axis") % len(whole.shape)
    start = 0
    for name in node.inputs:
        source = builder.view(name)
        part = whole.sliced(axis, start, source.shape[axis])
        start += source.shape[axis]
        if (
            source.buffer != part.buffer
            or source.offset_bytes != part.offset_bytes
            or not same_layout(part.shape, source.strides, part.strides)
        ):
            builder.copy(source, part, f"{node.name}:{name}")
    _alias(builder, node, whole)


def _expand(builder: Builder, node: Node, call: Call) -> None:
    view = builder.source(node)
    found = builder.graph.type_of(node.outputs[0])
    assert found is not None
    shape = found.static_shape
    lead = len(shape) - len(view.shape)
    old = (1,) * lead + view.shape
    strides = (0,) * lead + view.strides
    strides = tuple(
        0 if small == 1 and extent != 1 else stride for small, extent, stride in zip(old, shape, strides, strict=True)
    )
    _alias(builder, node, replace(view, shape=shape, strides=strides))


def _pad(builder: Builder, node: Node, call: Call) -> None:
    """Constant padding: the border's value everywhere, then a copy into the middle; negative pads cut."""
    view = builder.view(node.inputs[0])
    rank = len(view.shape)
    pads = _constant_ints(call, 1)
    axes = [axis % rank for axis in _constant_ints(call, 3)] if call.has(3) else list(range(rank))
    value = call.value(2) if call.has(2) else np.zeros(())
    if value is None:
        raise NoKernel(node, "the padding value must be constant")
    whole = builder.output(node.outputs[0], builder.decided[key_of(node)][0].writes[0])
    middle = whole
    for position, axis in enumerate(axes):
        before, after = pads[position], pads[position + len(axes)]
        view = view.sliced(axis, max(-before, 0), view.shape[axis] + min(before, 0) + min(after, 0))
        middle = middle.sliced(axis, max(before, 0), view.shape[axis])
    rows = list(builder.target.find("move", "strided", view.dtype))
    fill = Node("fill", (), node.outputs, {}, f"{node.name}:border")
    builder.emit(rows, fill, [], [whole], {"value": float(np.asarray(value).reshape(-1)[0])})
    builder.copy(view, middle, node.name)
    _alias(builder, node, whole)


def _tile(builder: Builder, node: Node, call: Call) -> None:
    """A copy into the output with each repeated axis seen as two, from the input repeated at a stride of 0."""
    view, repeats = builder.view(node.inputs[0]), _constant_ints(call, 1)
    whole = builder.output(node.outputs[0], "plain")
    shape: list[int] = []
    source: list[int] = []
    destination: list[int] = []
    for count, extent, stride, out in zip(repeats, view.shape, view.strides, whole.strides, strict=True):
        if count != 1:
            shape, source, destination = [*shape, count], [*source, 0], [*destination, out * extent]
        shape, source, destination = [*shape, extent], [*source, stride], [*destination, out]
    if len(shape) > MAX_RANK:
        raise NoKernel(node, f"axes and repeated axes must be at most {MAX_RANK} together, got {len(shape)}")
    read, written = (
        replace(part, shape=tuple(shape), strides=tuple(strides))
        for part, strides in ((view, source), (whole, destination))
    )
    builder.copy(read, written, node.name)
    _alias(builder, node, whole)


def _depth_to_space(builder: Builder, node: Node, call: Call) -> None:
    whole, b = builder.output(node.outputs[0], builder.decided[key_of(node)][0].writes[0]), call.attribute("blocksize")
    builder.copy(_channels_as_blocks(builder.source(node), b, call.attribute("mode")), _blocks(whole, b), node.name)
    _alias(builder, node, whole)


def _space_to_depth(builder: Builder, node: Node, call: Call) -> None:
    whole, b = builder.output(node.outputs[0], builder.decided[key_of(node)][0].writes[0]), call.attribute("blocksize")
    builder.copy(_blocks(builder.source(node), b), _channels_as_blocks(whole, b, call.attribute("mode")), node.name)
    _alias(builder, node, whole)


def _blocks(image: Located, b: int) -> Located:
    """(n, c, h·b, w·b) as (n, c, h, row in the block, w, column in the block)."""
    (n, c, h, w), (by_n, by_c, by_h, by_w) = image.shape, image.strides
    return replace(image, shape=(n, c, h // b, b, w // b, b), strides=(by_n, by_c, by_h * b, by_h, by_w * b, by_w))


def _channels_as_blocks(image: Located, b: int, mode: str) -> Located:
    """(n, c·b², h, w) as (n, c, h, row in the block, w, column in the block); DCR has the channel innermost."""
    (n, channels, h, w), (by_n, by_c, by_h, by_w) = image.shape, image.strides
    c = channels // (b * b)
    of_c, of_row, of_column = (b * b, b, 1) if mode == "CRD" else (1, b * c, c)
    strides = (by_n, of_c * by_c, by_h, of_row * by_c, by_w, of_column * by_c)
    return replace(image, shape=(n, c, h, b, w, b), strides=strides)


VIEWS: dict[str, Callable[[Builder, Node, Call], None]] = {
    "all_reduce_begin": lower_collective,
    "all_reduce_end": lower_collective,
    "concat": _concat,
    "conv_transpose": lower_conv_transpose,
    "depth_to_space": _depth_to_space,
    "dropout": _identity,
    "expand": _expand,
    "flatten": _reshape,
    "hold": _identity,
    "identity": _identity,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "space_to_depth": _space_to_depth,
    "split": _split,
    "squeeze": _reshape,
    "tile": _tile,
    "transpose": _transpose,
    "unsqueeze": _reshape,
}
