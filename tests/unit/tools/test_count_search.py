"""Searches on counts: a game comes back from what the guest says; plans of one core are judged on another's table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools" / "aarch64"))
count_search = pytest.importorskip("count_search")
layout = pytest.importorskip("layout")
regions = pytest.importorskip("regions")

WAYS = ("fp32 plain", "fp32 last", "int8 last")


def described(costs: list[list[float]], conversion: float, ways: tuple[str, ...]) -> dict[str, object]:
    """Two layers in a row; between different layouts a conversion."""
    matrix = [[0.0 if a.split()[1] == b.split()[1] else conversion for b in ways] for a in ways]
    layers = [{"name": name, "op": "conv", "ways": [{"way": way} for way in ways]} for name in "ab"]
    edges = [[[1, matrix]], [[0, [list(column) for column in zip(*matrix, strict=True)]]]]
    return {"layers": layers, "problem": [costs, edges]}


def figures(network: str, cpu: str, chosen: list[str], optimum: float) -> dict[str, object]:
    layers = [{"name": name, "op": "conv", "chosen": way} for name, way in zip("ab", chosen, strict=True)]
    whole = {name: {"instructions": 2e6, "cost": 2e6} for name in ("found", "default")}
    about = {"unit": "instructions", "plans": 9.0, "regrets": {"q-learning": [0.0], "random": [0.5]}, "whole": whole}
    return {"network": network, "cpu": cpu, "layers": layers, "optimum": optimum * 1e9, **about}


def test_a_plan_is_judged_on_another_cores_table(tmp_path: Path) -> None:
    place = layout.Layout(tmp_path)
    small = described([[1.0, 3.0], [2.0, 1.0]], 0.5, WAYS[:2])
    large = described([[4.0, 3.0, 1.0], [2.0, 4.0, 1.0]], 0.5, WAYS)
    for cpu, said in (("small", small), ("large", large)):
        folder = count_search.folder_of(place, "net", cpu)
        folder.mkdir(parents=True)
        (folder / "count.table.json").write_text(json.dumps(said))
    table = count_search.table_of(small)
    assert table.optimum() == (0, 1) and table.total((0, 1)) == 2.5 and table.labels[0] == WAYS[:2]
    both = [figures("net", "small", ["fp32 plain", "fp32 last"], 2.5), figures("net", "large", ["int8 last"] * 2, 2.0)]
    count_search.crossed(place, both)
    assert both[0]["of_others"] == {"large": None}  # it has no integers
    assert both[1]["of_others"] == {"small": (4.0 + 4.0 + 0.5) / 2.0}
    text = count_search.page(both)
    assert "| small | instructions |" in text and "cannot run" in text and "4.250" in text


def test_a_core_without_a_model_counts_instructions() -> None:
    region = regions.Region((), (regions.Block(0, 3, (1, 2)), regions.Block(8, 1, (3,))))
    model = count_search.Model("cortex-a53")
    assert model.unit == "instructions" and model.cost(region) == 7.0
