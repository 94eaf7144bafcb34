"""What the planner knows of a device: facts and the rows of its kernel table, as data.

The planner never imports native code: the runtime fills a `Target` for the machine at hand, and a test may fill one
for a board that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from thew.plan.cost import BUILT_IN, Costs
from thew.plan.rows import KernelRow
from thew.plan.step import Step


@dataclass(frozen=True, slots=True)
class Needs:
    """What a step takes: scratch while it runs, packed weights for good, and the constants that those replace."""

    scratch_bytes: int
    packed_bytes: int
    packs: tuple[bool, ...]


@dataclass(frozen=True)
class Target:
    """A device to plan for.

    Attributes:
        device: key of the device: CPU model and ISA; a saved plan is refused elsewhere.
        isas: what the CPU supports, best first.
        rows: supported rows of the kernel table, in the table's order of preference.
        needs: what a step would take; raises PlanError where the row cannot run it.
        costs: the device's rates.
        sharing: threads that compute at once, where they are more than the plan's own: caches are divided by them.
    """

    device: str
    isas: tuple[str, ...]
    threads: int
    rows: tuple[KernelRow, ...]
    needs: Callable[[Step], Needs]
    costs: Costs = BUILT_IN
    sharing: int = 0
    _by_algorithm: dict[tuple[str, str, str], list[KernelRow]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table: dict[tuple[str, str, str], list[KernelRow]] = {}
        for row in sorted(self.rows, key=lambda row: self.isas.index(row.isa)):
            table.setdefault((row.family, row.algorithm, row.a), []).append(row)
        object.__setattr__(self, "_by_algorithm", table)

    def find(self, family: str, algorithm: str, dtype: str) -> Iterator[KernelRow]:
        """Rows that may run an algorithm on a dtype: best ISA first, table order within an ISA."""
        yield from self._by_algorithm.get((family, algorithm, dtype), ())
