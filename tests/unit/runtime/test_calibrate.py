"""Measured rates: kept by device, taken by the planner, and built-in ones where the file is damaged."""

import dataclasses
import json

import pytest

from thew.plan import BUILT_IN, Costs
from thew.runtime.calibrate import costs_path, load_costs, save_costs


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_rates_come_back_as_they_were():
    costs = Costs("calibrated", 0.5, {"conv.implicit/fp32/neon": 0.25}, ((1024, 2e9), (0, 1e9)), 3.0, 1e-7, 2e-6)
    assert save_costs("Cortex-A76/neon", costs) == costs_path("Cortex-A76/neon")
    assert load_costs("Cortex-A76/neon") == costs
    assert load_costs("Cortex-A72/neon") == BUILT_IN


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("speed", 0.0),
        ("speed", "fast"),
        ("levels", [[1024, -1.0]]),
        ("efficiencies", {"conv": 0}),
        ("step_seconds", None),
        ("join_seconds", -1e-6),
    ],
)
def test_rates_that_cannot_be_count_as_none(field, value):
    path = save_costs("board", dataclasses.replace(BUILT_IN, name="calibrated"))
    assert load_costs("board").name == "calibrated"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert load_costs("board") == BUILT_IN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"levels": [], "speed": 1, "efficiencies": {}}',
        '{"levels": 3}',
        '{"levels": [], "colour": 1}',
    ],
)
def test_a_damaged_file_counts_as_none(text):
    path = save_costs("board", dataclasses.replace(BUILT_IN, speed=2.0))
    path.write_text(text)
    assert load_costs("board") == BUILT_IN
