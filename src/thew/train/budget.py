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

    Raises:
        MemoryLimitError: none does; it says what the least would be.
    """
    whole = planner.plan(None)
    if whole.needed_bytes <= budget_bytes:
        return whole
    least, least_by = whole.needed_bytes, "nothing"
    rest = {True: whole.needed_bytes - whole.arena_bytes}  # beside the values: scratch, parameters, states
    for measure in found:
        if measure.winograd not in rest:
            without = planner.plan(Measure(winograd=False))
            rest[measure.winograd] = without.needed_bytes - without.arena_bytes
        graph, over = planner.graph(measure.parts), 0
        for _ in range(TRIES):
            limit = budget_bytes - rest[measure.winograd] - over
            values = least_bytes(graph)
            if values <= limit:
                changed = fit(graph, limit, measure.half)
                values = max(live_bytes(changed))
            plan = planner.plan(measure, changed) if values <= limit else None
            needed = values + rest[measure.winograd] if plan is None else plan.needed_bytes
            if plan is not None and needed <= budget_bytes:
                return plan
            is_less = needed < least
            if is_less:
                least, least_by = needed, str(measure)
            if plan is None or not is_less:
                break
            over += needed - budget_bytes
    raise MemoryLimitError(
        f"Trainer: memory_budget_bytes must be at least about {least} ({least_by}), got {budget_bytes}; use smaller "
        f"batches, a smaller network, or freeze layers"
    )
