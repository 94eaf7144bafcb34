"""Searches with counts as the environment: best plans for emulated cores, and how they differ.

python tools/aarch64/count_search.py --networks resnet8.onnx=samples.npz --json docs/benchmarks/search/cores.json

Every way to run every distinct layer, and every conversion, is counted once on each core; then agents play on the table
as they do on one of times. What a way costs is its modelled cycles (cycles.py) where LLVM has a model of the core worth
using, else its instructions: an in-order core such as Cortex-A53 has none. Cycles are modelled: caches, and so the
memory's part, are not in them. What is counted for a network and core stands in the file and is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import emulate
from count import build_plugin
from cycles import cycles_of, hottest
from layout import CORES, TOOLS, Layout, default_layout
from regions import Block, Region, read_region

from thew.bench.machine import commit
from thew.files import write_json
from thew.plan.solve import Problem
from thew.search.agents import make_agent, play
from thew.search.game import Table

AGENTS = ("q-learning", "random", "greedy")
EPISODES, SEEDS = 1000, 10
CPUS = ("cortex-a53", "cortex-a72", "cortex-a76")
_HERTZ = 1e9  # a cycle or instruction as seconds: the unit of the tables
_BATCH = 400  # blocks that are modelled in one go


class Model:
    """What a region costs on a core; blocks that many regions share are modelled once."""

    def __init__(self, cpu: str) -> None:
        self.model = CORES[cpu].model
        self.unit = "modelled cycles" if self.model else "instructions"
        self._cycles: dict[tuple[int, ...], float] = {}

    def learn(self, regions: Sequence[Region]) -> None:
        """Models the hottest blocks of regions."""
        new = {block.words: block for region in regions for block in hottest(region) if block.words not in self._cycles}
        blocks: list[Block] = list(new.values())
        for at in range(0, len(blocks), _BATCH):
            part = blocks[at : at + _BATCH]
            self._cycles.update(zip((block.words for block in part), cycles_of(part, self.model), strict=True))

    def cost(self, region: Region) -> float:
        """Modelled cycles, or instructions."""
        if not self.model:
            return float(region.instructions)
        hot = hottest(region)
        covered = sum(block.instructions for block in hot)
        return sum(block.count * self._cycles[block.words] for block in hot) * region.instructions / covered


def guest(layout: Layout, cpu: str, plugin: Path, phase: str, arguments: Sequence[str], path: Path) -> dict[str, Any]:
    script = [str(TOOLS / "guest_search.py"), phase, *arguments, str(path)]
    code = emulate.run(layout, cpu, script, f"{plugin},out={path}")
    if code != 0:
        sys.exit(f"count_search: the guest must end well, got exit status {code} on {cpu}; see its output above")
    return dict(json.loads(path.with_suffix(f".{phase}.json").read_text()))


def searched(layout: Layout, cpu: str, plugin: Path, model: Path, data: Path) -> dict[str, Any]:
    """The search for one network on one core."""
    folder = layout.root / "search" / f"{model.stem}-{cpu}"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["THEW_CACHE"] = str(folder)
    path, given, core = folder / "count", (str(model.resolve()), str(data.resolve())), Model(cpu)
    found = guest(layout, cpu, plugin, "survey", given, path)
    regions = [read_region(folder / f"count-{number}.region") for number in range(len(found["counted"]))]
    if core.model:
        core.learn(regions)
    empty, *costs = map(core.cost, regions)
    spent = {key: max(cost - empty, 1.0) / _HERTZ for key, cost in zip(found["counted"][1:], costs, strict=True)}
    write_json(path.with_suffix(".costs.json"), {"costs": spent, "refused": found["refused"]})
    result = guest(layout, cpu, plugin, "table", given, path)
    wholes = [read_region(folder / f"count-whole{number}.region") for number in range(1, len(result["whole"]) + 1)]
    if core.model:
        core.learn(wholes)
    whole = {
        name: {"instructions": region.instructions, "cost": core.cost(region)}
        for name, region in zip(result["whole"], wholes, strict=True)
    }
    about = {"network": model.stem, "cpu": cpu, "unit": core.unit, "commit": commit(), "candidates": len(costs)}
    return {**about, **played(result), **result, "whole": whole}


def played(result: dict[str, Any]) -> dict[str, Any]:
    """What agents find on a table of the guest's, whose problem goes."""
    costs, edges = result.pop("problem")
    layers = result["layers"]
    labels = tuple(tuple(way["way"] for way in layer["ways"]) for layer in layers)
    problem = Problem(costs, [dict(around) for around in edges])
    table = Table(tuple(layer["name"] for layer in layers), labels, problem)
    least = table.total(table.optimum())
    regrets = {
        name: [play(make_agent(name), table, EPISODES, seed).value / least - 1 for seed in range(SEEDS)]
        for name in AGENTS
    }
    return {"plans": float(table.size), "optimum": least * _HERTZ, "episodes": EPISODES, "regrets": regrets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=default_layout().root)
    parser.add_argument("--cpu", default=",".join(CPUS), help="cores with commas")
    parser.add_argument("--networks", required=True, help="model.onnx=samples.npz with commas")
    parser.add_argument("--json", type=Path, required=True, help="where figures go, and a page of them beside")
    options = parser.parse_args()
    layout = Layout(options.root.resolve())
    plugin = build_plugin(layout.root)
    figures: list[dict[str, Any]] = json.loads(options.json.read_text()) if options.json.exists() else []
    for pair in options.networks.split(","):
        model, _, data = pair.partition("=")
        for cpu in options.cpu.split(","):
            if not any((one["network"], one["cpu"]) == (Path(model).stem, cpu) for one in figures):
                figures.append(searched(layout, cpu, plugin, Path(model), Path(data)))
                write_json(options.json, figures)


if __name__ == "__main__":
    main()
