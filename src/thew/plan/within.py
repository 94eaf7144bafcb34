"""A plan that fits a limit of memory: where the fastest does not, memory is given a price, the least that suffices.

Seconds a byte, added to the cost of what an algorithm keeps beyond the op's own weights (Winograd's transformed ones),
turn the choice for the whole graph into its Lagrangian: the plan found is the fastest of those that take no more
memory. The price is searched by bisection, in orders of magnitude and then within one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thew.plan.plan import Plan
from thew.plan.target import Target

_PRICES = tuple(10.0**power for power in range(-13, -6))  # seconds a byte: from less than any memory's to prohibitive
_HALVINGS = 3


def plan_within(build: Callable[[Target], Plan], target: Target, limit_bytes: int | None) -> Plan:
    """The plan that `build` makes for a target; one that takes at most so many bytes, where there is such.

    Else the leanest: the caller says that it does not fit.
    """
    plan = build(target)
    if limit_bytes is None or plan.peak_memory_bytes <= limit_bytes:
        return plan

    def at(price: float) -> Plan:
        return build(replace(target, costs=replace(target.costs, byte_seconds=price)))

    leanest = at(_PRICES[-1])
    if leanest.peak_memory_bytes > limit_bytes:
        return min(plan, leanest, key=lambda found: found.peak_memory_bytes)
    low, high, best = 0, len(_PRICES) - 1, leanest  # at prices[high] it fits; below prices[low] it is not known to
    while low < high:
        middle = (low + high) // 2
        found = at(_PRICES[middle])
        if found.peak_memory_bytes <= limit_bytes:
            high, best = middle, found
        else:
            low = middle + 1
    too_low, enough = _PRICES[high] / 10, _PRICES[high]
    for _ in range(_HALVINGS):
        price = (too_low * enough) ** 0.5
        found = at(price)
        if found.peak_memory_bytes <= limit_bytes:
            enough, best = price, found
        else:
            too_low = price
    return best
