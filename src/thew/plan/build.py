"""`build_plan`: the whole way from a specialised graph to a `Plan`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from thew.ir import Graph, Node, Value
from thew.ops.pool_grad import tiles
from thew.plan.builder import Buffer, Builder, Draft, Located, NoKernel, is_read_as
from thew.plan.choices import Choices, check_choices, key_of
from thew.plan.choose import Chooser
from thew.plan.collective import add_progress
from thew.plan.layouts import is_plain, plain_strides, same_layout
from thew.plan.lower import VIEWS, Refused, lower
from thew.plan.memory import Use, assign_offsets
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.plan import Plan
from thew.plan.states import State, overwritten
from thew.plan.strips import fuse_strips
from thew.plan.target import Target

# Families whose contracts allow an output to lie exactly on an input.
IN_PLACE = {"unary", "binary", "select", "softmax", "norm", "activation_grad", "dropout"}


def build_plan(
    graph: Graph,
    target: Target,
    options: PlanOptions = ALL_TECHNIQUES,
    choices: Choices | None = None,
    states: Mapping[str, str] | None = None,
) -> Plan:
    """Plans a graph all of whose types are static.

    Args:
        graph: specialised, every type static.
        target: the device.
        options: techniques that the plan may use.
        choices: how given nodes must be run; the planner chooses for the others.
        states: graph inputs that outlive a run, each with the graph output that is its next value, or nothing.

    Raises:
        NoKernel: a node that no native kernel runs.
        PlanError: a choice is for no node of the graph, or none of the legal ones.
    """
    choices = choices or {}
    check_choices(choices, frozenset(map(key_of, graph.nodes)))
    states = states or {}
    chooser, builder = Chooser(graph, target, options, choices), None
    while builder is None:
        builder = _lowered(graph, target, options, chooser, states)
    if options.strips:
        fuse_strips(builder)
    add_progress(builder)
    sizes = {index: buffer.size_bytes for index, buffer in enumerate(builder.buffers) if buffer.place == "arena"}
    layout = assign_offsets([_use(draft) for draft in builder.drafts], sizes, share=options.memory_planning)
    steps = tuple(builder.as_step(draft, layout.offsets) for draft in builder.drafts)
    return Plan(
        graph=graph.name,
        device=target.device,
        threads=target.threads,
        inputs=tuple(value for value in graph.inputs if value.name not in states),
        outputs=tuple(
            Value(name, graph.type_of(name))  # type: ignore[arg-type]
            for name in graph.outputs
            if name not in states.values()
        ),
        steps=steps,
        arena_bytes=layout.arena_bytes,
        scratch_bytes=max((_rounded(draft.needs.scratch_bytes) for draft in builder.drafts), default=0),
        packed_bytes=sum(draft.needs.packed_bytes for draft in builder.drafts),
        constant_bytes=_constant_bytes(builder),
        fingerprint=fingerprint(graph),
        choices=builder.choices,
        options=options,
        states=tuple(
            State(value.name, value.type, states[value.name]) for value in graph.inputs if value.name in states
        ),
    )


def _lowered(
    graph: Graph, target: Target, options: PlanOptions, chooser: Chooser, states: Mapping[str, str]
) -> Builder | None:
    """The graph lowered as chosen; None where something was refused, which is not chosen again."""
    builder = Builder(graph, target, options, chooser.solution())
    for node in graph.nodes:
        if key_of(node) not in builder.decided:
            why = chooser.refusals.get(key_of(node), ["no candidate holds for its dtypes, shapes and attributes"])
            raise NoKernel(node, "; ".join(why))
    _locate_externals(builder, states)
    _choose_destinations(builder)
    try:
        for node in graph.nodes:
            lower(builder, node)
    except Refused as refused:
        key = key_of(refused.node)
        chooser.refuse(key, builder.decided[key][0].signature, str(refused))
        return None
    _write_outputs(builder)
    return builder


def fingerprint(graph: Graph) -> str:
    """A digest of what a plan depends on: nodes, names, types; not the weights' values."""
    digest = hashlib.sha256()
    for value in graph.inputs:
        digest.update(f"{value.name}:{value.type};".encode())
    for node in graph.nodes:
        types = [str(graph.type_of(name)) for name in node.inputs if name]
        digest.update(repr((node.op, node.inputs, node.outputs, sorted(node.attributes.items()), types)).encode())
    digest.update(repr(graph.outputs).encode())
    return digest.hexdigest()[:16]


def _rounded(size: int) -> int:
    return -(-size // 64) * 64


def _locate_externals(builder: Builder, states: Mapping[str, str]) -> None:
    """States and the caller's arrays: inputs, then outputs. A next value goes where its state lies."""
    graph, count = builder.graph, 0
    for name in (value.name for value in graph.inputs):
        builder.located[name] = _outside(builder, name, None if name in states else count)
        count += name not in states
    owners = {after: name for name, after in states.items() if after}
    in_place = overwritten(graph, states, VIEWS)
    for name in graph.outputs:
        owner = owners.get(name)
        place = builder.located[owner] if owner is not None else _outside(builder, name, count)
        count += owner is None
        builder.results.append(place)
        if owner is None or owner in in_place:
            builder.destinations.setdefault(name, place)


def _outside(builder: Builder, name: str, index: int | None) -> Located:
    """A state, or with an index one of the caller's arrays."""
    found = builder.graph.type_of(name)
    assert found is not None and found.is_static
    shape = found.static_shape
    buffer = Buffer("state", 0, 0, name) if index is None else Buffer("external", 0, index, name)
    return Located(builder.new_buffer(buffer), 0, found.dtype, shape, plain_strides(shape))


def _choose_destinations(builder: Builder) -> None:
    """Walks backwards: a concat's inputs are to be written in their part of it, an output in the caller's array."""
    constants = builder.graph.constants
    inputs = {value.name for value in builder.graph.inputs}
    for node in reversed(builder.graph.nodes):
        if node.op == "concat":
            _destine_concat(builder, node, constants.keys() | inputs)
        elif VIEWS.get(node.op) is VIEWS["reshape"]:
            _destine_reshape(builder, node, constants.keys() | inputs)


def _destine_concat(builder: Builder, node: Node, fixed: set[str]) -> None:
    (output,) = node.outputs
    found = builder.graph.type_of(output)
    if found is None or not found.is_static:
        return
    whole, layout = builder.destinations.get(output), builder.decided[key_of(node)][0].writes[0]
    if whole is None or not is_read_as(layout, whole.shape, whole.strides):
        whole = builder.destinations[output] = builder.fresh(found.dtype, found.static_shape, layout)
    axis = builder.call(node).attribute("axis") % len(whole.shape)
    start = 0
    for name in node.inputs:
        part = builder.graph.type_of(name)
        assert part is not None
        extent = part.static_shape[axis]
        if name not in fixed and name not in builder.destinations:
            builder.destinations[name] = whole.sliced(axis, start, extent)
        start += extent


def _destine_reshape(builder: Builder, node: Node, fixed: set[str]) -> None:
    source, (output,) = node.inputs[0], node.outputs
    whole, found = builder.destinations.get(output), builder.graph.type_of(source)
    if whole is None or found is None or not found.is_static or source in fixed or source in builder.destinations:
        return
    if is_plain(whole.shape, whole.strides):
        shape = found.static_shape
        builder.destinations[source] = Located(
            whole.buffer, whole.offset_bytes, found.dtype, shape, plain_strides(shape)
        )


def _write_outputs(builder: Builder) -> None:
    """Copies the outputs that their nodes could not write into the caller's arrays; states last, which are read too."""
    places = zip(builder.graph.outputs, builder.results, strict=True)
    for name, external in sorted(places, key=lambda pair: builder.buffers[pair[1].buffer].place == "state"):
        source = builder.view(name)
        if source.buffer != external.buffer or not same_layout(source.shape, source.strides, external.strides):
            builder.copy(source, external, name)


def _use(draft: Draft) -> Use:
    reads = tuple(view.buffer for view in draft.inputs if view is not None)
    writes = tuple(view.buffer for view in draft.outputs)
    return Use(reads, writes, _in_place(draft) if _may_be_in_place(draft) else ())


def _may_be_in_place(draft: Draft) -> bool:
    if draft.op == "max_pool_grad":
        x, dy = (view.shape for view in draft.inputs if view is not None)
        return tiles(draft.attributes, x, dy)
    return draft.row.family in IN_PLACE


def _in_place(draft: Draft) -> tuple[tuple[int, int], ...]:
    """Inputs whose buffer the output may take over: read by this step only exactly where the output is written."""
    (output,) = draft.outputs
    sources = [view for view in draft.inputs if view is not None]
    return tuple(
        (view.buffer, output.buffer)
        for view in sources
        if all(_same_place(other, output) for other in sources if other.buffer == view.buffer)
    )


def _same_place(view: Located, output: Located) -> bool:
    return (
        view.offset_bytes == output.offset_bytes == 0
        and view.dtype == output.dtype
        and view.shape == output.shape
        and same_layout(view.shape, view.strides, output.strides)
    )


def _constant_bytes(builder: Builder) -> int:
    """Bytes of the constants that some step reads as they are."""
    read: set[int] = set()
    for draft in builder.drafts:
        packs = draft.needs.packs
        for position, view in enumerate(draft.inputs):
            if (
                view is not None
                and builder.buffers[view.buffer].place == "constant"
                and not (position < len(packs) and packs[position])
            ):
                read.add(view.buffer)
    return sum(builder.buffers[buffer].size_bytes for buffer in read)
