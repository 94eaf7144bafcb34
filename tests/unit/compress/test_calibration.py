"""Policies of calibration, against what each is defined to do."""

from __future__ import annotations

import numpy as np
import pytest

from thew.compress.calibration import POLICIES, Histogram, policy_of
from thew.compress.calibration.histogram import LEVELS
from thew.errors import InputError

RNG = np.random.default_rng(0)


def histogram(x: np.ndarray) -> Histogram:
    found = Histogram(min(float(x.min()), 0.0), max(float(x.max()), 0.0))
    found.add(x.astype(np.float32))
    return found


def test_counts_are_those_of_numpy() -> None:
    x = RNG.standard_normal(10_000).astype(np.float32)
    found = histogram(x)
    expected, _ = np.histogram(x, found.edges)
    assert found.counts.sum() == x.size
    assert np.abs(np.cumsum(found.counts) - np.cumsum(expected)).max() <= 5  # fp32 places an edge an element away
    found.add(np.array([np.nan, np.inf, -np.inf], np.float32))
    assert found.counts.sum() == x.size


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("x", [np.zeros(10), np.ones(10), -np.ones(10), np.array([1e-30, 1e30])], ids=str)
def test_any_values_give_a_range_with_zero(name: str, x: np.ndarray) -> None:
    low, high = POLICIES[name](histogram(x))
    assert np.isfinite([low, high]).all() and low <= 0 <= high


@pytest.mark.parametrize("name", ["percentile", "entropy"])
def test_outliers_are_cut_off(name: str) -> None:
    x = np.concatenate([RNG.standard_normal(100_000), [1000.0]])
    low, high = POLICIES[name](histogram(x))
    assert -20 <= low < -1 and 1 < high < 500
    assert POLICIES["minmax"](histogram(x)) == (pytest.approx(x.min()), 1000.0)


def test_percentile_leaves_out_its_share() -> None:
    x = RNG.exponential(size=1_000_000)
    low, high = POLICIES["percentile"](histogram(x))
    assert low == 0 and (x > high).mean() == pytest.approx(5e-5, abs=2.5e-5)


def test_mse_has_the_least_error_of_all_policies() -> None:
    x = RNG.laplace(size=50_000)
    found = histogram(x)

    def error(low: float, high: float) -> float:
        step = (high - low) / (LEVELS - 1)
        zero = np.rint(-low / step)
        rounded = (np.clip(np.rint(x / step) + zero, 0, LEVELS - 1) - zero) * step
        return float(((rounded - x) ** 2).mean())

    errors = {name: error(*policy(found)) for name, policy in POLICIES.items()}
    assert errors["mse"] <= 1.02 * min(errors.values())  # it sees bins, not elements


def test_an_unknown_policy() -> None:
    with pytest.raises(InputError, match="minmax, percentile"):
        policy_of("median")
