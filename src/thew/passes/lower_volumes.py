"""Turns convolutions and pools of volumes (n, c, depth, h, w) into such of pictures, which kernels run.

Pictures are the slices of all volumes, n·depth of them, and have their channels last, so that only depth lies between
pictures and volumes: all that a step needs are views, save where windows reach over several slices.

    conv   the kd slices that an output slice reads lie side by side as its channels; where that moves more, or groups
           keep channels apart, kd convolutions add up: y[d] = Σ_k conv(x[d·stride − pad + k·dilation], w[:, :, k])
    pools  over h and w, then over depth and the h·w pixels of a slice: a maximum of maxima is the maximum, also of
           equal ones the first; and of averages each is a sum over as many, since counts are products of the axes'

What windows see beyond the first and last slice is padding, written out. Comes before gradients are taken, so that
those are pictures' too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from thew.ir import Graph, Node
from thew.ir.graph import Attribute
from thew.ops import Call, conv, pool
from thew.ops.window import Window
from thew.passes.editor import Editor
from thew.passes.nodes import Nodes

DEEPEST = 64  # slices of a window: its convolution has as many parts
WIDEST = 4  # slices of padding for each of a volume or window


def lower_volumes(graph: Graph) -> Graph:
    """The graph with ops on pictures in place of those on volumes, where types are static."""
    editor = Editor(graph)
    for node in editor.walk():
        call = editor.static_call(node) if node.op in _LOWERED else None
        if call is not None and _is_volumes(call):
            made = _Volumes(editor, node)
            made.end(_LOWERED[node.op](made, call))
    return editor.graph()


def _is_volumes(call: Call) -> bool:
    """Whether the node's input are volumes, and what is padded is not out of proportion."""
    given = [type_.static_shape for type_ in call.types if type_ is not None]
    if len(given[0]) != 5 or any(0 in shape for shape in given) or any(call.node.outputs[1:]):
        return False
    if call.node.op in _GLOBAL:
        return True
    window = _window(call)
    padded, depth = window.begin[0] + window.end[0], max(window.extents[0], window.kernel[0])
    return 0 not in window.output and window.kernel[0] <= DEEPEST and padded <= WIDEST * depth


def _window(call: Call) -> Window:
    return conv.window(call) if call.node.op == "conv" else pool.window(call)


class _Volumes(Nodes):
    """The nodes that one is turned into; what is called slices has shape (n, depth, h, w, c)."""

    def part(self, value: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """The elements start, start + step, … before end along an axis."""
        return self.add("slice", value, *(self.integers([number]) for number in (start, end, axis, step)))

    def slices(self, volumes: str) -> str:
        """Volumes (n, c, depth, h, w) with their channels last."""
        return self.transpose(volumes, 0, 2, 3, 4, 1)

    def images(self, slices: str, n: int, h: int, w: int, c: int) -> str:
        """Slices seen as n pictures (n, c, h, w)."""
        return self.transpose(self.reshape(slices, n, h, w, c), 0, 3, 1, 2)

    def volumes(self, images: str, n: int, depth: int, h: int, w: int, c: int) -> str:
        """Pictures of slices, or of columns of them, as volumes (n, c, depth, h, w)."""
        return self.transpose(self.reshape(self.transpose(images, 0, 2, 3, 1), n, depth, h, w, c), 0, 4, 1, 2, 3)


def _part(window: Window, *axes: int) -> dict[str, tuple[int, ...]]:
    """The attributes of a window over some axes."""
    values = {
        "kernel_shape": (window.kernel,),
        "strides": (window.strides,),
        "dilations": (window.dilations,),
        "pads": (window.begin, window.end),
    }
    return {name: tuple(int(side[axis]) for side in sides for axis in axes) for name, sides in values.items()}


def _kept(node: Node) -> dict[str, Attribute]:
    """The attributes that say nothing about the window."""
    return {name: value for name, value in node.attributes.items() if name not in (*conv.WINDOW, "storage_order")}


def _conv(made: _Volumes, call: Call) -> str:
    window, (n, c) = conv.window(call), call.shape(0)[:2]
    oc, (depth, h, w) = call.shape(1)[0], window.output
    x, weights, *rest = call.node.inputs
    rest += [""] * (2 - len(rest))
    if rest[1]:
        shape = (n, oc, depth, h, w)
        whole = rest[1] if call.shape(3) == shape else made.add("expand", rest[1], made.integers(shape))
        rest[1] = made.images(made.slices(whole), n * depth, h, w, oc)
    read = _read(made, made.slices(x), window)
    taps = len(read)
    adds_up = taps > 1 and (call.attribute("group") > 1 or 2 * oc <= c)
    geometry = {**_part(window, 1, 2), "group": call.attribute("group")}
    height, width = window.extents[1:]
    if adds_up:
        y = _added_up(
            made, call, [made.images(part, n * depth, height, width, c) for part in read], weights, rest, geometry
        )
    else:
        side_by_side = made.add("concat", *read, axis=4) if taps > 1 else read[0]
        turned = made.transpose(weights, 0, 2, 1, 3, 4) if taps > 1 else weights
        flat = made.reshape(turned, oc, taps * call.shape(1)[1], *window.kernel[1:])
        y = _conv2(made, call.node, made.images(side_by_side, n * depth, height, width, taps * c), flat, rest, geometry)
    return made.volumes(y, n, depth, h, w, oc)


def _read(made: _Volumes, slices: str, window: Window) -> list[str]:
    """For each tap along depth the slices that it reads, as many as the output has."""
    begin, end, step = window.begin[0], window.end[0], window.strides[0]
    if begin or end:
        slices = made.add("pad", slices, made.integers((0, begin, 0, 0, 0, 0, end, 0, 0, 0)))
    count = window.output[0]
    if window.kernel[0] == 1 == step and count == window.extents[0] + begin + end:
        return [slices]
    starts = [tap * window.dilations[0] for tap in range(window.kernel[0])]
    return [made.part(slices, 1, start, start + (count - 1) * step + 1, step) for start in starts]


def _added_up(
    made: _Volumes,
    call: Call,
    images: list[str],
    weights: str,
    rest: list[str],
    geometry: Mapping[str, Attribute],
) -> str:
    """A convolution for each tap along depth, which adds to those before; the last applies the activation."""
    oc, channels, _, kh, kw = call.shape(1)
    plain = Node("conv", call.node.inputs, call.node.outputs)
    for tap, image in enumerate(images):
        of_tap = made.reshape(made.part(weights, 2, tap, tap + 1), oc, channels, kh, kw)
        node = call.node if tap + 1 == len(images) else plain
        rest = ["", _conv2(made, node, image, of_tap, rest, geometry)]
    return rest[1]


def _conv2(
    made: _Volumes, node: Node, image: str, weights: str, rest: list[str], geometry: Mapping[str, Attribute]
) -> str:
    inputs = (image, weights, *(rest if rest[1] else rest[:1] if rest[0] else ()))
    return made.add("conv", *inputs, **{**_kept(node), **geometry})


def _pool(made: _Volumes, call: Call) -> str:
    op, kept = call.node.op, _kept(call.node)
    window, (n, c) = pool.window(call), call.shape(0)[:2]
    depth, h, w = window.extents
    y = made.slices(call.node.inputs[0])
    if not _is_trivial(window, 1, 2):
        images = made.images(y, n * depth, h, w, c)
        y = made.transpose(made.add(op, images, **{**kept, **_part(window, 1, 2)}), 0, 2, 3, 1)
        _, h, w = window.output
    columns = made.images(y, n, depth, h * w, c)
    if not _is_trivial(window, 0):
        begin, end = window.begin[0], window.end[0]
        along = {**{name: (*values, 1) for name, values in _part(window, 0).items()}, "pads": (begin, 0, end, 0)}
        columns = made.add(op, columns, **{**kept, **along})
    return made.volumes(columns, n, window.output[0], h, w, c)


def _is_trivial(window: Window, *axes: int) -> bool:
    return all(
        window.kernel[axis] == window.strides[axis] == 1 and not window.begin[axis] and not window.end[axis]
        for axis in axes
    )


def _global_pool(made: _Volumes, call: Call) -> str:
    n, c, depth, *extents = call.shape(0)
    columns = made.images(made.slices(call.node.inputs[0]), n, depth, prod(extents), c)
    return made.reshape(made.add(call.node.op, columns), n, c, 1, 1, 1)


_GLOBAL = ("global_average_pool", "global_max_pool")
_LOWERED: Mapping[str, Callable[[_Volumes, Call], str]] = {
    "conv": _conv,
    "max_pool": _pool,
    "average_pool": _pool,
    **dict.fromkeys(_GLOBAL, _global_pool),
}
