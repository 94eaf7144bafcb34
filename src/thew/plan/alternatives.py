"""Every way to run a node: candidate × row × layout, with its estimated cost. A planner or a search chooses from these.

A layout here is a word: "plain" (C order), "channels_last", "batch_innermost", or "other" for the strides that a view
may have. What takes every stride, but is slow where operands run along different axes, reads "~plain" and the like:
anything save what lies in one of the other orders.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from thew.dtypes import NATIVE, size_bytes
from thew.errors import UnsupportedError
from thew.ir import Graph, Node
from thew.ops import Call, Candidate, Work, attribute, find, get
from thew.ops.conv import FEW_CHANNELS, suits_batches
from thew.ops.conv_grad import joins_taps
from thew.plan.blocking import BLOCKINGS, FITTED, blockings_for, on_best_threads, thread_counts
from thew.plan.choices import Choice, Choices, key_of
from thew.plan.cost import Cost, work_of
from thew.plan.layouts import FITS, dense_strides, is_channels_last, is_plain, same_layout
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.rows import KernelRow
from thew.plan.target import Target

MAX_RANK = 8
PLAIN, CHANNELS_LAST, BATCH_INNERMOST, OTHER, ANY = "plain", "channels_last", "batch_innermost", "other", "any"
LIKE = "~"
_OPEN = 2.0  # times the best estimate of a layer: what is further behind is not tried in variants


@dataclass(frozen=True, slots=True)
class Alternative:
    """A way to run a node.

    Attributes:
        reads: the layout that each input must have, "any" where it does not matter.
        writes: the layout of each output.
    """

    choice: Choice
    candidate: Candidate
    row: KernelRow
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    cost: Cost = field(default_factory=Cost)

    @property
    def signature(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All that neighbours see of it."""
        return self.reads, self.writes

    def __str__(self) -> str:
        return f"{self.choice}: {self.cost.seconds * 1e6:.1f} µs"


def call_of_node(graph: Graph, node: Node) -> Call:
    """A node with the types and constants of its inputs."""
    types = tuple(graph.type_of(name) if name else None for name in node.inputs)
    values = tuple(graph.constants.get(name) if name else None for name in node.inputs)
    return Call(node, types, values)


def choice_of(candidate: Candidate, row: KernelRow, layout: str, threads: int, blocking: str = FITTED) -> Choice:
    """What running a candidate by a row is called."""
    return Choice(f"{candidate.family}.{candidate.algorithm}", row.name, layout, row.a, threads, blocking)


def has_layouts(shape: tuple[int, ...]) -> bool:
    """Whether channels last is another order than C order."""
    return not same_layout(shape, dense_strides(PLAIN, shape), dense_strides(CHANNELS_LAST, shape))


def satisfies(layout: str, wanted: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor in one layout can be read where another is wanted."""
    if wanted in (ANY, layout):
        return True
    if layout == OTHER:
        return wanted.startswith(LIKE)
    wanted = wanted.removeprefix(LIKE)
    return wanted != OTHER and FITS[wanted](shape, dense_strides(layout, shape))


def candidates_of(
    graph: Graph, target: Target, node: Node, options: PlanOptions = ALL_TECHNIQUES
) -> list[tuple[Candidate, list[KernelRow]]]:
    """The candidates of a node that its op's conditions, the device's table and the options allow."""
    op = find(node.op)
    if op is None:
        raise UnsupportedError(f"{node}: Thew has no such op")
    call = call_of_node(graph, node)
    for name in (*node.inputs, *node.outputs):
        found = graph.type_of(name) if name else None
        if name and (
            found is None or not found.is_static or found.dtype not in NATIVE or len(found.static_shape) > MAX_RANK
        ):
            return []
    dtype = next((found.dtype for found in call.types if found is not None), "")
    chosen = []
    for candidate in op.candidates:
        banned = candidate.family == "winograd" and not options.winograd
        if banned or dtype not in candidate.dtypes or not candidate.when(call):
            continue
        family = "move" if candidate.family == "view" else candidate.family
        sums = candidate.sums
        rows = [row for row in target.find(family, candidate.algorithm, dtype) if not sums or row.acc in sums]
        if rows:
            chosen.append((candidate, rows))
    return chosen


def alternatives_of(
    graph: Graph, target: Target, node: Node, options: PlanOptions = ALL_TECHNIQUES, choices: Choices | None = None
) -> list[Alternative]:
    """All ways to run a node, in the table's order of preference, each on as many threads as are thought best.

    With `choices`, those that the one for this node allows; where it names no algorithm or row, and for nodes without
    a choice, without those that are not taken by default.
    """
    forced = (choices or {}).get(key_of(node), Choice())
    unasked = choices is not None and not (forced.algorithm or forced.row)
    call = call_of_node(graph, node)
    passed, counts, blocking = passed_bytes(graph, node), thread_counts(target.threads), forced.blocking or FITTED
    if forced.threads:
        counts = (forced.threads,)
    if counts[0] > target.threads or blocking not in BLOCKINGS:
        return []
    found = []
    for candidate, rows in candidates_of(graph, target, node, options):
        if unasked and not candidate.by_default(call):
            continue
        view = candidate.family == "view"
        work = Work(0) if view else work_of(call, candidate)
        costs = [
            (Cost(), forced.threads or 1) if view else on_best_threads(counts, target.costs, work, row, passed)
            for row in rows
        ]
        for layout, reads, writes in _layouts(graph, node, candidate):
            if not options.layouts:
                writes = (PLAIN,) * len(writes)
                if candidate.layout == ANY and layout != PLAIN:
                    continue
            for row, (cost, threads) in list(zip(rows, costs, strict=True))[: 1 if view else None]:
                choice = choice_of(candidate, row, layout, threads, blocking)
                if forced.allows(choice):
                    found.append(Alternative(choice, candidate, row, reads, writes, cost))
    return found


def variants_of(graph: Graph, target: Target, node: Node, ways: list[Alternative]) -> list[Alternative]:
    """The ways to run a node on all threads, and those on fewer or with other blockings that the estimates leave open:
    not far behind the best of them.
    """
    call, passed, found = call_of_node(graph, node), passed_bytes(graph, node), []
    for way in ways:
        if way.candidate.family == "view":
            found.append(way)
            continue
        work = work_of(call, way.candidate)
        for count in thread_counts(target.threads):
            cost = target.costs.step_cost(work, way.row, passed, count)
            for name in (FITTED, *blockings_for(way.row, work, passed, count, target.costs)):
                choice = replace(way.choice, threads=count, blocking=name)
                found.append(replace(way, choice=choice, cost=cost))
    least = min((way.cost.seconds for way in found), default=0.0)
    return [way for way in found if is_usual(way.choice, target.threads) or way.cost.seconds <= _OPEN * least]


def is_usual(choice: Choice, threads: int) -> bool:
    """Whether a choice is one of all threads and the fitted blocking."""
    return choice.threads == threads and choice.blocking == FITTED


def passed_bytes(graph: Graph, node: Node) -> int:
    """Bytes of a node's inputs and outputs."""
    return sum(_bytes(graph, name) for name in (*node.inputs, *node.outputs) if name)


def _bytes(graph: Graph, name: str) -> int:
    found = graph.type_of(name)
    assert found is not None
    count = size_bytes(found.dtype)
    for extent in found.static_shape:
        count *= extent
    return count


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    found = graph.type_of(name)
    return found.static_shape if found is not None and found.is_static else ()


def orders_of(shape: tuple[int, ...], *others: str) -> tuple[str, ...]:
    """The layouts of which a tensor of a shape may be in one; where they coincide it is called plain."""
    channels_last = (CHANNELS_LAST,) if has_layouts(shape) else ()
    batch_innermost = (BATCH_INNERMOST,) if len(shape) > 2 and suits_batches(shape[0], shape[1]) else ()
    return (PLAIN, *channels_last, *batch_innermost, *others)


Layouts = Iterable[tuple[str, tuple[str, ...], tuple[str, ...]]]  # name, what is read, what is written


def _layouts(graph: Graph, node: Node, candidate: Candidate) -> Layouts:
    """The layouts that a candidate may run in."""
    if candidate.family == "view":
        yield from _VIEWS.get(node.op, _plain_view)(graph, node)
        return
    outputs = [_shape(graph, name) for name in node.outputs if name]
    if candidate.layout != ANY:
        reads = tuple(_image(graph, node, position, candidate) for position in range(len(node.inputs)))
        weights = get(node.op).weights[1]
        images = [len(_shape(graph, name)) > 2 and i not in weights for i, name in enumerate(node.outputs) if name]
        yield candidate.layout, reads, tuple(candidate.layout if image else PLAIN for image in images)
        return
    layouts = tuple(dict.fromkeys(layout for shape in outputs for layout in orders_of(shape))) or (PLAIN,)
    for layout in layouts:
        like = tuple(
            LIKE + layout
            if len(layouts) > 1 and name and name not in graph.constants and _shape(graph, name) in outputs
            else ANY
            for name in node.inputs
        )
        yield layout, like, tuple(layout if layout in orders_of(shape) else PLAIN for shape in outputs)


def _image(graph: Graph, node: Node, position: int, candidate: Candidate) -> str:
    """What a kernel of a fixed layout asks of an input: of images it does, of weights and vectors it does not."""
    name = node.inputs[position]
    if not name or name in graph.constants:
        return ANY
    shape = _shape(graph, name)
    layout = candidate.layout
    in_place = candidate.family in ("winograd", "depthwise")  # these read vectors of channels where they lie
    gathers = layout == CHANNELS_LAST and (node.op, position) in GATHERED and not in_place
    if gathers and node.op == "conv_grad_weight" and joins_taps(call_of_node(graph, node)):
        return layout
    if position in get(node.op).weights[0] or (gathers and shape[1] <= FEW_CHANNELS):
        return ANY  # weights are packed; few channels gathered: converting costs a pass, vectors over them gain nothing
    return layout


GATHERED = {("conv", 0), ("conv_grad_weight", 1)}  # ops and inputs whose kernels gather patches


def _plain_view(graph: Graph, node: Node) -> Layouts:
    """A view of C order: reshape and its kin."""
    yield PLAIN, (PLAIN, *[ANY] * (len(node.inputs) - 1)), (PLAIN,) * len(node.outputs)


def _as_it_lies(graph: Graph, node: Node) -> Layouts:
    rest = [ANY] * (len(node.inputs) - 1)
    for layout in orders_of(_shape(graph, node.inputs[0]), OTHER):
        yield layout, (layout, *rest), (layout,) * len(node.outputs)


def _expanded(graph: Graph, node: Node) -> Layouts:
    for layout in orders_of(_shape(graph, node.inputs[0]), OTHER):
        yield layout, (layout, ANY), (OTHER,)


def _part(graph: Graph, node: Node) -> Layouts:
    """A slice of a tensor in C order has gaps, save along its first axis; one of channels side by side is still that
    where no element is skipped.
    """
    rest = [ANY] * (len(node.inputs) - 1)
    shape = _shape(graph, node.inputs[0])
    axes, whole = _sliced_axes(graph, node, len(shape))
    leads = whole and all(extent == 1 for extent in shape[: max(axes, default=0)])
    parts = {PLAIN: PLAIN if leads else OTHER, CHANNELS_LAST: CHANNELS_LAST if whole else OTHER, OTHER: OTHER}
    for layout in orders_of(shape, OTHER):
        yield layout, (layout, *rest), (parts.get(layout, OTHER),) * len(node.outputs)


def _sliced_axes(graph: Graph, node: Node, rank: int) -> tuple[list[int], bool]:
    """The axes that a slice or split cuts, and whether it takes every element between its bounds."""
    if node.op == "split":
        return [int(attribute(node, "axis")) % rank], True
    axes, steps = (graph.constants.get(node.input(index)) if node.input(index) else None for index in (3, 4))
    cut = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes.reshape(-1)]
    return cut, steps is None or bool((steps == 1).all())


def _written(graph: Graph, node: Node) -> Layouts:
    """A concat or pad writes a tensor of its own, into which parts are copied or, in the same layout, made in place."""
    shape = _shape(graph, node.outputs[0])
    for layout in (PLAIN, CHANNELS_LAST) if has_layouts(shape) else (PLAIN,):
        parts = tuple(layout if len(_shape(graph, name)) == len(shape) else ANY for name in node.inputs)
        yield layout, parts, (layout,)


def _channels_last(graph: Graph, node: Node) -> Layouts:
    yield CHANNELS_LAST, (CHANNELS_LAST, *[ANY] * (len(node.inputs) - 1)), (CHANNELS_LAST,)


def _repeated(graph: Graph, node: Node) -> Layouts:
    yield PLAIN, (ANY,) * len(node.inputs), (PLAIN,)


def _regrouped(graph: Graph, node: Node) -> Layouts:
    """A copy from any strides into an image of its own."""
    for layout in (PLAIN, CHANNELS_LAST) if has_layouts(_shape(graph, node.outputs[0])) else (PLAIN,):
        yield layout, (ANY,), (layout,)


def _turned(graph: Graph, node: Node) -> Layouts:
    """A transposed view: what lies in one layout may come out in the other."""
    shape = _shape(graph, node.inputs[0])
    order = node.attributes.get("perm") or tuple(reversed(range(len(shape))))
    assert isinstance(order, tuple)
    axes = [int(axis) for axis in order]
    turned = tuple(shape[axis] for axis in axes)
    for layout in orders_of(shape):
        strides = dense_strides(layout, shape)
        after = tuple(strides[axis] for axis in axes)
        if is_plain(turned, after):
            written = PLAIN
        else:
            written = CHANNELS_LAST if len(turned) > 2 and is_channels_last(turned, after) else OTHER
        yield layout, (layout,), (written,)
    yield OTHER, (OTHER,), (OTHER,)


_VIEWS = {
    "concat": _written,
    "conv_transpose": _channels_last,
    "depth_to_space": _regrouped,
    "dropout": _as_it_lies,
    "expand": _expanded,
    "hold": _as_it_lies,
    "identity": _as_it_lies,
    "pad": _written,
    "slice": _part,
    "space_to_depth": _regrouped,
    "split": _part,
    "tile": _repeated,
    "transpose": _turned,
}
