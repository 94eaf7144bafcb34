"""Recomputation: a value that waits long for its next readers is let go, and made again before them (Chen et al. 2016).

`fit` rewrites a graph until the values alive at once take no more than a limit. Where they do, it cuts the life of one
that spans the fullest moment: the node that made it stands again before the later readers, with as much of what led to
it as is no longer there. Of all cuts it takes the cheapest by time for each byte let go (as Kirisame et al. 2021 choose
what to evict) that helps. With `half` a value may also wait in 16 bits, which rounds it.

The copies read their inputs through `hold`, an identity that no pass takes for the first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import prod

from thew.dtypes import FLOATS, size_bytes
from thew.ir import Graph, Node, TensorType
from thew.ops import get
from thew.ops.collective import BEGIN, END
from thew.ops.pool_grad import tiles
from thew.plan.alternatives import call_of_node
from thew.plan.build import IN_PLACE

FLOPS_A_BYTE = 10  # operations that take as long as moving one byte: of one core with wide vectors
MOST_NODES = 12  # that stand again for one cut
MOST_CUTS = 256
MOST_TRIALS = 24  # cuts that are looked at closely, cheapest first
# Ops whose output shows the memory of their first input, as far as the planner can help it.
_SHOWING = frozenset(
    {
        BEGIN,
        END,
        "expand",
        "flatten",
        "hold",
        "identity",
        "reshape",
        "slice",
        "split",
        "squeeze",
        "transpose",
        "unsqueeze",
    }
)
# Not pure, but the copy gives the same: dropout draws by a counter that is an input, batch norm's `_sources` see to it.
_REPEATABLE = frozenset({"dropout_training", "batch_norm_training"})


@dataclass(frozen=True)
class _Life:
    """A buffer: its bytes, when it is made and last read, and all times of its reads."""

    size: int
    born: int
    reads: tuple[int, ...]

    @property
    def last(self) -> int:
        return max(self.born, self.reads[-1] if self.reads else self.born)


@dataclass(frozen=True)
class _Cut:
    """Lets a buffer go after `first` and has its values again from node `again` on; `rank` is seconds by byte."""

    root: str
    first: int
    again: int
    rank: float
    half: str = ""


def live_bytes(graph: Graph) -> list[int]:
    """Bytes of the values alive while each node runs, as far as they lie in a plan's arena."""
    return _Schedule(graph).live()


def least_bytes(graph: Graph) -> int:
    """What the node that reads and writes most needs: no cut goes below it."""
    return _Schedule(graph).least()


def fit(graph: Graph, limit_bytes: int, half: str = "") -> Graph:
    """The graph, rewritten so that at no time more than `limit_bytes` of values are alive; as near as it can come.

    Args:
        graph: all its types static, as it will be planned.
        limit_bytes: for values made by nodes, but for graph outputs.
        half: the dtype in which values may wait, "fp16" or "bf16"; without, results do not change.
    """
    schedule, refused = _Schedule(graph), set[tuple[str, str]]()
    for _ in range(MOST_CUTS):
        if schedule.excess(limit_bytes) == 0:
            break
        better = None
        for cut in schedule.cuts(limit_bytes, half, refused)[:MOST_TRIALS]:
            changed = schedule.after(cut)
            if changed is not None and changed.excess(limit_bytes) < schedule.excess(limit_bytes):
                better = changed
                break
            refused.add((cut.root, cut.half))
        if better is None:
            break
        schedule = better
    return schedule.graph


class _Schedule:
    """A graph with the lives of its values, in node order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._roots: dict[str, str] = {}  # of views, the value whose memory they show
        self._updated: dict[str, int] = {}  # when a graph input is overwritten
        self._exchanged: set[str] = set()  # what is summed over processes, where it lies
        self._inputs = {value.name for value in graph.inputs}
        self._lives = self._found_lives()

    def _found_lives(self) -> dict[str, _Life]:
        outputs = set(self.graph.outputs)
        born: dict[str, int] = {}
        sizes: dict[str, int] = {}
        reads: dict[str, list[int]] = {}
        for time, node in enumerate(self.graph.nodes):
            for name in filter(None, node.inputs):
                reads.setdefault(self.root(name), []).append(time)
            for output, source in get(node.op).updates:
                if node.outputs[output : output + 1] != ("",) and node.input(source) in self._inputs:
                    self._updated[node.inputs[source]] = time
            if node.op in (BEGIN, END):
                self._exchanged.add(self.root(node.inputs[0]))
            for name in filter(None, node.outputs):
                if node.op in _SHOWING:
                    self._roots[name] = self.root(node.inputs[0])
                elif name not in outputs:
                    born[name], sizes[name] = time, _bytes_of(self.graph, name)
        return {name: _Life(sizes[name], born[name], tuple(reads.get(name, ()))) for name in born}

    def root(self, name: str) -> str:
        """The value that owns the memory."""
        return self._roots.get(name, name)

    def live(self) -> list[int]:
        """Bytes alive while each node runs."""
        change = [0] * (len(self.graph.nodes) + 1)
        for life in self._lives.values():
            change[life.born] += life.size
            change[life.last + 1] -= life.size
        for time, node in enumerate(self.graph.nodes):
            change[time] -= (taken := self._taken_over(time, node))
            change[time + 1] += taken
        return list(accumulate(change[:-1]))

    def least(self) -> int:
        """The most bytes that one node reads and writes."""
        most = 0
        for time, node in enumerate(self.graph.nodes):
            touched = {self.root(name) for name in (*node.inputs, *node.outputs)} & self._lives.keys()
            most = max(most, sum(self._lives[name].size for name in touched) - self._taken_over(time, node))
        return most

    def _taken_over(self, time: int, node: Node) -> int:
        """Bytes of an input that ends here and whose place the output takes."""
        if len(node.outputs) != 1 or not self._may_be_in_place(node):
            return 0
        written = self._lives.get(node.outputs[0])
        read = (self._lives.get(self.root(name)) for name in node.inputs if name)
        ends = (life.size for life in read if life is not None and life.last == time)
        return written.size if written is not None and written.size in ends else 0

    def _may_be_in_place(self, node: Node) -> bool:
        if node.op == "max_pool_grad":
            x, dy = (self.graph.type_of(name) for name in node.inputs)
            known = {"pads", "strides", "dilations"} <= node.attributes.keys()
            return known and tiles(node.attributes, x.static_shape, dy.static_shape)  # type: ignore[union-attr]
        return any(candidate.family in IN_PLACE for candidate in get(node.op).candidates)

    def excess(self, limit_bytes: int) -> int:
        """Bytes over the limit, added up over all nodes."""
        return sum(max(0, size - limit_bytes) for size in self.live())

    def cuts(self, limit_bytes: int, half: str, refused: set[tuple[str, str]]) -> list[_Cut]:
        """The cuts through the fullest moment, best first."""
        live = self.live()
        fullest = max(range(len(live)), key=live.__getitem__)
        found = []
        for root, life in self._lives.items():
            later = [time for time in life.reads if time > fullest]
            if not later or life.born >= fullest or fullest in life.reads or root in self._exchanged:
                continue
            first = max([life.born, *(time for time in life.reads if time < fullest)])
            kinds = ("", half) if half and self._is_float(root) else ("",)
            for kind in kinds:
                if (root, kind) not in refused and (rank := self._rank(root, life, later[0], kind)) is not None:
                    found.append(_Cut(root, first, later[0], rank, kind))
        return sorted(found, key=lambda cut: cut.rank)

    def _is_float(self, name: str) -> bool:
        known = self.graph.type_of(name)
        return known is not None and known.dtype in FLOATS and size_bytes(known.dtype) > 2

    def _rank(self, root: str, life: _Life, again: int, half: str) -> float | None:
        if half:
            return 3 * FLOPS_A_BYTE  # written and read in half, for half of its bytes
        copies = self._copies(root, again)
        return None if copies is None else sum(map(self._work, copies)) / life.size

    def _work(self, node: Node) -> float:
        """Operations, and bytes in their terms."""
        names = filter(None, (*node.inputs, *node.outputs))
        return get(node.op).flops(call_of_node(self.graph, node)) + FLOPS_A_BYTE * sum(
            _bytes_of(self.graph, name) for name in names
        )

    def _copies(self, root: str, again: int) -> list[Node] | None:
        """The nodes that make a buffer again from what is there before node `again`, in order; None where that is
        too much, or cannot be.
        """
        wanted, copies = [root], dict[int, Node]()
        while wanted:
            name = wanted.pop()
            time = self._lives[name].born
            node = self.graph.nodes[time]
            if time in copies:
                continue
            if not _is_repeatable(node) or name in self._exchanged or len(copies) == MOST_NODES:
                return None
            copies[time] = node
            for source in map(self.root, _sources(node)):
                if source in self._inputs or source in self.graph.constants:
                    if self._updated.get(source, again) < again:
                        return None
                elif source not in self._lives:
                    return None  # a graph output
                elif self._lives[source].last < again and self._lives[source].size * 2 > self._lives[name].size:
                    wanted.append(source)
        return [copies[time] for time in sorted(copies)]

    def after(self, cut: _Cut) -> _Schedule | None:
        """The schedule with a cut; None where it cannot be made."""
        copies = [] if cut.half else self._copies(cut.root, cut.again)
        if copies is None:
            return None
        rewriting = _Rewriting(self.graph, cut.again)
        if cut.half:
            rewriting.wait_in(cut.root, cut.half)
        made = {cut.root, *(name for node in copies for name in node.outputs)}
        repeated = {node.outputs for node in copies}
        for node in self.graph.nodes[: cut.again]:
            if node.outputs in repeated or (node.op in _SHOWING and self.root(node.outputs[0]) in made):
                rewriting.repeat(node)
        return _Schedule(rewriting.graph(cut.first))


class _Rewriting:
    """Nodes put before one node, which all from there on read in place of the first ones."""

    def __init__(self, graph: Graph, again: int) -> None:
        self._graph, self._again = graph, again
        self._taken = {value.name for value in graph.inputs} | set(graph.constants) | set(graph.producers)
        self._types: dict[str, TensorType] = {}
        self._before: list[Node] = []  # behind the last reader of what waits in half precision
        self._nodes: list[Node] = []
        self.renamed: dict[str, str] = {}

    def repeat(self, node: Node) -> None:
        """Has a node stand again, reading what is new."""
        inputs = [self.renamed.get(name, name) for name in _sources(node)]
        if tuple(inputs) == _sources(node) and get(node.op).is_pure:
            place = next(i for i, name in enumerate(inputs) if name and name not in self._graph.constants)
            held = self._fresh(inputs[place], inputs[place])
            self._nodes.append(Node("hold", (inputs[place],), (held,), {}, held))
            inputs[place] = held
        outputs = tuple(self._fresh(name, name) if name else "" for name in node.outputs)
        self.renamed.update(zip(node.outputs, outputs, strict=True))
        self._nodes.append(node.replace(inputs=tuple(inputs), outputs=outputs))

    def wait_in(self, root: str, half: str) -> None:
        """Casts a value down where it begins to wait, and up again."""
        narrow, wide = self._fresh(f"{root}.{half}", root, half), self._fresh(root, root)
        known = self._graph.type_of(root)
        assert known is not None
        self._before.append(Node("cast", (root,), (narrow,), {"to": half}, narrow))
        self._nodes.append(Node("cast", (narrow,), (wide,), {"to": known.dtype}, wide))
        self.renamed[root] = wide

    def _fresh(self, stem: str, like: str, dtype: str = "") -> str:
        known = self._graph.type_of(like)
        assert known is not None
        number = 0
        while (name := f"{stem}.again{number or ''}") in self._taken:
            number += 1
        self._taken.add(name)
        self._types[name] = TensorType(dtype or known.dtype, known.shape)
        return name

    def graph(self, first: int) -> Graph:
        """The graph with all of it; what waits is cast behind node `first`."""
        nodes = self._graph.nodes
        later = [
            node.replace(inputs=tuple(self.renamed.get(name, name) for name in node.inputs))
            for node in nodes[self._again :]
        ]
        ordered = (*nodes[: first + 1], *self._before, *nodes[first + 1 : self._again], *self._nodes, *later)
        return self._graph.replace(nodes=ordered, types={**self._graph.types, **self._types})


def _bytes_of(graph: Graph, name: str) -> int:
    known = graph.type_of(name)
    return prod(known.static_shape) * size_bytes(known.dtype) if known is not None and known.is_static else 0


def _is_repeatable(node: Node) -> bool:
    op = get(node.op)
    return node.op in _REPEATABLE or (op.is_pure and not op.updates and len(node.outputs) == 1)


def _sources(node: Node) -> tuple[str, ...]:
    """What a copy of the node reads. A batch norm's running statistics are others by then, and none of its business:
    those of the batch stand for them.
    """
    if node.op != "batch_norm_training":
        return node.inputs
    return (*node.inputs[:3], *node.outputs[3:5], *node.inputs[5:])
