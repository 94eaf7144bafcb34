"""From a specialised graph to drafts of steps over buffers: where every value lies, and which row runs every node.

A *buffer* is a piece of the arena, one of the caller's arrays, or a constant. A value is *located* as a strided view
of a buffer; several values may share one (views, slices of a concat). Layout is nothing but strides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from thew.dtypes import size_bytes
from thew.errors import PlanError
from thew.ir import Graph, Node
from thew.ops import Call
from thew.plan.alternatives import ANY, LIKE, OTHER, Alternative, call_of_node
from thew.plan.choices import Choice, key_of
from thew.plan.layouts import FITS, dense_strides, is_plain, plain_strides
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.rows import KernelRow
from thew.plan.step import Step, View
from thew.plan.target import Needs, Target


class NoKernel(PlanError):
    """No row of the device's table runs a node; the session makes it a Python step."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(f"{node}: no native kernel runs it here ({reason})")
        self.node = node


@dataclass(frozen=True, slots=True)
class Located:
    """A view of a buffer."""

    buffer: int
    offset_bytes: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def sliced(self, axis: int, start: int, extent: int, step: int = 1) -> Located:
        """The elements start, start + step, … along an axis."""
        shape = (*self.shape[:axis], extent, *self.shape[axis + 1 :])
        offset = self.offset_bytes + (0 if 0 in shape else start * self.strides[axis] * size_bytes(self.dtype))
        stride = self.strides[axis] * (step if extent > 1 else 1)  # a step past the end may be any number
        strides = (*self.strides[:axis], stride, *self.strides[axis + 1 :])
        return replace(self, offset_bytes=offset, shape=shape, strides=strides)


@dataclass(frozen=True, slots=True)
class Buffer:
    """`place` is "arena", "external", "state" or "constant"; `index` counts externals, `name` names the last two."""

    place: str
    size_bytes: int
    index: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A step whose buffers have no offsets yet."""

    row: KernelRow
    op: str
    name: str
    inputs: tuple[Located | None, ...]
    outputs: tuple[Located, ...]
    attributes: Mapping[str, Any]
    flops: int
    needs: Needs
    stages: tuple[Draft, ...] = ()  # see thew.plan.strips


def is_read_as(wanted: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether a view can be read where a layout is wanted, in the words of `Alternative.reads`."""
    layout = wanted.removeprefix(LIKE)
    if wanted == ANY or FITS[layout](shape, strides):
        return True
    return wanted != layout and not any(FITS[other](shape, strides) for other in FITS if other != layout)


@dataclass
class Builder:
    """Collects the drafts of a graph's steps. The rules by op are in `thew.plan.lower`."""

    graph: Graph
    target: Target
    options: PlanOptions = ALL_TECHNIQUES
    decided: Mapping[str, Sequence[Alternative]] = field(default_factory=dict)  # by node, what to try in order
    choices: dict[str, Choice] = field(default_factory=dict)  # what it came to
    buffers: list[Buffer] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    located: dict[str, Located] = field(default_factory=dict)
    destinations: dict[str, Located] = field(default_factory=dict)  # where a value should be written, if its kernel can
    results: list[Located] = field(default_factory=list)  # the caller's arrays for the graph's outputs
    _converted: dict[tuple[str, str], Located] = field(default_factory=dict)

    def call(self, node: Node) -> Call:
        """The node with the types and constants of its inputs."""
        return call_of_node(self.graph, node)

    # Buffers and views

    def new_buffer(self, buffer: Buffer) -> int:
        """Enters a buffer, and returns its index."""
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def fresh(self, dtype: str, shape: tuple[int, ...], layout: str) -> Located:
        """A new arena buffer for a tensor, dense in one of the layouts."""
        strides = dense_strides(layout, shape)
        count = 1
        for extent in shape:
            count *= extent
        return Located(self.new_buffer(Buffer("arena", count * size_bytes(dtype))), 0, dtype, shape, strides)

    def source(self, node: Node, position: int = 0) -> Located:
        """An input of a node in the layout that was decided on for it."""
        wanted = self.decided[key_of(node)][0].reads[position]
        return self.view(node.inputs[position], ANY if wanted == OTHER else wanted)

    def view(self, name: str, layout: str = ANY) -> Located:
        """Where a value lies, as it is or (converted once, by a copy) in the layout asked for."""
        if name not in self.located:
            self._locate_constant(name)
        located = self.located[name]
        if is_read_as(layout, located.shape, located.strides):
            return located
        layout = layout.removeprefix(LIKE)
        if (name, layout) not in self._converted:
            wanted = self.destinations.get(name)
            to_wanted = layout == "plain" and wanted is not None and is_plain(wanted.shape, wanted.strides)
            converted = wanted if to_wanted and wanted else self.fresh(located.dtype, located.shape, layout)
            self.copy(located, converted, f"{name}:{layout}")
            self._converted[name, layout] = converted
        return self._converted[name, layout]

    def _locate_constant(self, name: str) -> None:
        array = self.graph.constants[name]
        found = self.graph.type_of(name)
        assert found is not None
        buffer = self.new_buffer(Buffer("constant", array.nbytes, name=name))
        self.located[name] = Located(buffer, 0, found.dtype, found.static_shape, plain_strides(found.static_shape))

    def output(self, name: str, layout: str) -> Located:
        """Where a node writes a value: its destination where that fits the layout, else a new buffer."""
        found = self.graph.type_of(name)
        assert found is not None
        wanted = self.destinations.get(name)
        if wanted is not None and is_read_as(layout, wanted.shape, wanted.strides):
            return wanted
        return self.fresh(found.dtype, found.static_shape, layout)

    # Steps

    def emit(
        self,
        rows: Sequence[KernelRow],
        node: Node,
        inputs: Sequence[Located | None],
        outputs: Sequence[Located],
        attributes: Mapping[str, Any],
        flops: int = 0,
    ) -> KernelRow:
        """Appends a step, run by the first row that accepts it: the row. Raises NoKernel where none does."""
        reason = "the table has no row for it"
        for row in rows:
            draft = Draft(
                row, node.op, node.name or str(node), tuple(inputs), tuple(outputs), attributes, flops, Needs(0, 0, ())
            )
            try:
                needs = self.target.needs(self.as_step(draft))
            except PlanError as error:
                reason = str(error)
                continue
            self.drafts.append(replace(draft, needs=needs))
            return row
        raise NoKernel(node, reason)

    def copy(self, source: Located, destination: Located, name: str) -> None:
        """Appends a strided copy between views of one shape."""
        rows = list(self.target.find("move", "strided", source.dtype))
        self.emit(rows, Node("copy", (), (name,), name=name), [source], [destination], {})

    def as_step(self, draft: Draft, offsets: Mapping[int, int] | None = None) -> Step:
        """The step of a draft, with arena offsets once they are known."""

        def view(located: Located | None) -> View | None:
            if located is None:
                return None
            buffer = self.buffers[located.buffer]
            offset = located.offset_bytes + (offsets[located.buffer] if offsets and buffer.place == "arena" else 0)
            return View(buffer.place, buffer.index, buffer.name, offset, located.dtype, located.shape, located.strides)

        def step(draft: Draft, inputs: Sequence[View | None], outputs: Sequence[View | None]) -> Step:
            stages = []
            handed: View | None = None
            for i, stage in enumerate(draft.stages):
                (written,) = stage.outputs
                read = [handed if i > 0 else view(stage.inputs[0]), *map(view, stage.inputs[1:])]
                handed = View("strip", 0, "", 0, written.dtype, written.shape, written.strides)
                stages.append(step(stage, read, outputs if i == len(draft.stages) - 1 else [handed]))
            kept = tuple(found for found in outputs if found is not None)
            name = draft.row.name
            return Step(name, draft.op, draft.name, tuple(inputs), kept, draft.attributes, draft.flops, tuple(stages))

        return step(draft, list(map(view, draft.inputs)), list(map(view, draft.outputs)))
