"""Plans within a limit of memory, on plans whose memory falls as its price rises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from thew.plan import Target, plan_within

TARGET = Target("a board", ("neon",), 1, (), needs=lambda step: None)  # type: ignore[arg-type, return-value]


@dataclass(frozen=True)
class Planned:
    peak_memory_bytes: int
    price: float


def build(target: Target) -> Any:
    """Three algorithms, each given up once a byte costs more than it brings."""
    price = target.costs.byte_seconds
    return Planned(100 + sum(size for size, worth in ((40, 2e-12), (30, 3e-11), (20, 7e-9)) if price < worth), price)


@pytest.mark.parametrize(("limit", "taken"), [(None, 190), (190, 190), (189, 150), (150, 150), (130, 120), (119, 100)])
def test_the_least_price_that_suffices(limit: int | None, taken: int) -> None:
    assert plan_within(build, TARGET, limit).peak_memory_bytes == taken


def test_the_leanest_where_none_fits() -> None:
    assert plan_within(build, TARGET, 50).peak_memory_bytes == 100
