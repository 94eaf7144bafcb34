"""Fits a training step into a memory budget: what is done for it, in the order of what it costs.

Values of the forward pass are made again for the backward pass (`thew.plan.recompute`); the batch is run in parts whose
gradients add up; convolutions do without Winograd's transformed weights; values wait for the backward pass in 16 bits.
All but the last leave the step what it was, save that batch norm sees one part of a batch at a time: where it is used,
parts come behind Winograd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from thew.errors import MemoryLimitError
from thew.ir import Graph
from thew.plan.recompute import fit, least_bytes, live_bytes

MOST_PARTS = 16  # of a batch: every part adds all its steps to the plan
TRIES = 3  # plans of one measure, each with less for its values where the one before took too much
HALF = "bf16"  # in which values wait: it has the range of fp32


@dataclass(frozen=True)
class Measure:
    """What is done to fit."""

    parts: int = 1
    winograd: bool = True
    half: str = ""

    def __str__(self) -> str:
        words = ["activations made again"]
        if self.parts > 1:
            words.append(f"the batch in {self.parts} parts")
        if not self.winograd:
            words.append("no Winograd")
        if self.half:
            words.append(f"activations kept in {self.half}")
        return ", ".join(words)


def measures(batch: int, has_batch_norm: bool, may_narrow: bool) -> Iterator[Measure]:
    """All that may be done for a batch of so many samples, cheapest first."""
    counts = [parts for parts in range(1, MOST_PARTS + 1) if batch % parts == 0]
    for half in ("", HALF) if may_narrow else ("",):
        if has_batch_norm:
            yield from (Measure(1, winograd, half) for winograd in (True, False))
        for winograd in (True, False):
            yield from (Measure(parts, winograd, half) for parts in counts if parts > 1 or not has_batch_norm)


class Planned(Protocol):
    """A planned step."""

    @property
    def arena_bytes(self) -> int:
        """Of the values that its nodes make."""

    @property
    def needed_bytes(self) -> int:
        """Of all of it, parameters and states among it."""


Plan = TypeVar("Plan", bound=Planned, covariant=True)  # what a planner makes


class Planner(Protocol, Generic[Plan]):
    """How a step is made."""

    def graph(self, parts: int) -> Graph:
        """The graph as it will be planned, for a batch in so many parts."""

    def plan(self, measure: Measure | None, graph: Graph | None = None) -> Plan:
        """The planned step: of such a graph after its values were cut, or (None) as it is."""


def fitted(planner: Planner[Plan], found: Iterable[Measure], budget_bytes: int) -> Plan:
    """A plan within the budget, by the first measure that does.

    What a step takes beside its values (scratch, parameters, states) is at first taken to be what the whole batch's
    does. Where nothing fits so, every measure's own is asked: that is less for parts of a batch, but costs a plan each.

    Raises:
        MemoryLimitError: none does; it says what the least would be.
    """
    whole = planner.plan(None)
    if whole.needed_bytes <= budget_bytes:
        return whole
    search = _Search(planner, budget_bytes, whole.needed_bytes, {(True, 0): _beside_values(whole)})
    ways = list(found)
    for is_exact in (False, True):
        for measure in ways:
            plan = search.by(measure, measure.parts if is_exact else 0)
            if plan is not None:
                return plan
    raise MemoryLimitError(
        f"Trainer: memory_budget_bytes must be at least about {search.least} ({search.least_by}), got {budget_bytes}; "
        f"use smaller batches, a smaller network, or freeze layers"
    )


def _beside_values(plan: Planned) -> int:
    return plan.needed_bytes - plan.arena_bytes


@dataclass
class _Search(Generic[Plan]):
    """Measures tried so far: the least that one came to, and what lies beside values by (winograd, parts; 0: whole)."""

    planner: Planner[Plan]
    budget_bytes: int
    least: int
    rest: dict[tuple[bool, int], int]
    least_by: str = "nothing"

    def by(self, measure: Measure, parts: int) -> Plan | None:
        """A plan within the budget by one measure; `parts` says of which plan the bytes beside the values are."""
        rest = self._rest(measure.winograd, parts)
        graph, over = self.planner.graph(measure.parts), 0
        for _ in range(TRIES):
            limit = self.budget_bytes - rest - over
            values = least_bytes(graph)
            if values <= limit:
                changed = fit(graph, limit, measure.half)
                values = max(live_bytes(changed))
            plan = self.planner.plan(measure, changed) if values <= limit else None
            needed = values + rest if plan is None else plan.needed_bytes
            if plan is not None and needed <= self.budget_bytes:
                return plan
            is_less = needed < self.least
            if is_less:
                self.least, self.least_by = needed, str(measure)
            if plan is None or not is_less:
                break
            over += needed - self.budget_bytes
        return None

    def _rest(self, winograd: bool, parts: int) -> int:
        if (winograd, parts) not in self.rest:
            measure = Measure(max(parts, 1), winograd)
            self.rest[winograd, parts] = _beside_values(self.planner.plan(measure, self.planner.graph(measure.parts)))
        return self.rest[winograd, parts]
