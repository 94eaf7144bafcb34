"""What a search is for: which quantity is to be least, and which bounds must hold.

Latency is additive and comes from the table. Memory and size are those of the whole plan: it is built to know them, but
only for assignments that would otherwise be the best so far, since for the others nothing depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from thew.errors import InputError
from thew.plan import Plan
from thew.search.environment import Environment
from thew.search.game import Assignment, Table

OBJECTIVES: dict[str, Callable[[Plan], float]] = {
    "memory": lambda plan: float(plan.peak_memory_bytes),
    "size": lambda plan: float(plan.packed_bytes + plan.constant_bytes),
}
LATENCY = "latency"
_TIE = 1e-6  # of an objective that is no time, per second: of equal plans the faster one


def check_objective(objective: str) -> None:
    """Refuses an objective that there is not. Raises InputError."""
    if objective not in (LATENCY, *OBJECTIVES):
        raise InputError(f"objective: must be among {', '.join((LATENCY, *OBJECTIVES))}, got {objective!r}")


@dataclass
class Goal:
    """The value of an assignment: a table's `extra`.

    Attributes:
        environment: builds plans.
        table: the additive part, in seconds.
        objective: what is to be least.
        max_memory_bytes: of arena and weights; None for any.
        accepts: of an assignment that is best so far, whether its accuracy stays in bounds.
    """

    environment: Environment
    table: Table
    objective: str = LATENCY
    max_memory_bytes: int | None = None
    accepts: Callable[[Assignment, Plan], bool] | None = None
    best: float = inf
    _known: dict[Assignment, float] = field(default_factory=dict)

    def __call__(self, chosen: Assignment) -> float:
        """What the assignment costs beyond its sum of seconds."""
        if chosen not in self._known:
            self._known[chosen] = self._extra(chosen)
        return self._known[chosen]

    def _extra(self, chosen: Assignment) -> float:
        seconds = self.table.total(chosen)
        needs_plan = self.objective != LATENCY or self.max_memory_bytes is not None or self.accepts is not None
        if not needs_plan or (self.objective == LATENCY and seconds >= self.best):
            return 0.0
        plan = self.environment.plan(chosen)
        if plan is None or (self.max_memory_bytes is not None and plan.peak_memory_bytes > self.max_memory_bytes):
            return inf
        value = seconds if self.objective == LATENCY else OBJECTIVES[self.objective](plan) + _TIE * seconds
        if value < self.best:
            if self.accepts is not None and not self.accepts(chosen, plan):
                return inf
            self.best = value
        return value - seconds
