"""Searches with counts as the environment: best plans for emulated cores, and how they differ.

python tools/aarch64/count_search.py --networks resnet8.onnx=samples.npz --json docs/benchmarks/search/cores.json

Every way to run every distinct layer, and every conversion, is counted once on each core; then agents play on the table
as they do on one of times. What a way costs is its modelled cycles (cycles.py) where LLVM has a model of the core worth
using, else its instructions: an in-order core such as Cortex-A53 has none. Cycles are modelled: caches, and so the
memory's part, are not in them. What is counted for a network and core stands in the file and is kept; each core's
counts are also a cache, from which a search on a real board may start (`thew search --transfer-from`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import emulate
from count import build_plugin
from cycles import cycles_of, extrapolated, hottest
from layout import CORES, TOOLS, Layout, default_layout
from regions import Block, Region, read_region

from thew.bench.machine import commit
from thew.files import write_atomically, write_json
from thew.plan.solve import Problem
from thew.runtime.cache import Cache, Measurement
from thew.search.agents import make_agent, play
from thew.search.game import Table

AGENTS = ("q-learning", "random", "greedy")
EPISODES, SEEDS = 1000, 10
CPUS = ("cortex-a53", "cortex-a72", "cortex-a76")
PREFACE = """
Every way to run every distinct layer, and every conversion between layouts and precisions, is counted once on each
emulated core (`tools/aarch64/count_search.py`), and agents play on the table that results. A way costs its modelled
cycles where LLVM has a model of the core worth using, else its instructions. Caches, and so the memory's part, are in
neither. The search minimises the sum alone: accuracy is not asked. "Whole" is counted of one run of the whole network;
regrets are medians over seeds after 1,000 episodes; the last columns say what the best plan of another core costs over
the core's own best.
"""
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
        return extrapolated(region, hot, [self._cycles[block.words] for block in hot])


def guest(layout: Layout, cpu: str, plugin: Path, phase: str, arguments: Sequence[str], path: Path) -> dict[str, Any]:
    script = [str(TOOLS / "guest_search.py"), phase, *arguments, str(path)]
    code = emulate.run(layout, cpu, script, f"{plugin},out={path}")
    if code != 0:
        sys.exit(f"count_search: the guest must end well, got exit status {code} on {cpu}; see its output above")
    return dict(json.loads(path.with_suffix(f".{phase}.json").read_text()))


def folder_of(layout: Layout, network: str, cpu: str) -> Path:
    return layout.root / "search" / f"{network}-{cpu}"


def searched(layout: Layout, cpu: str, plugin: Path, model: Path, data: Path) -> dict[str, Any]:
    """The search for one network on one core."""
    folder = folder_of(layout, model.stem, cpu)
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
    with closing(Cache(cpu, commit() or "", layout.root / "search" / f"{cpu}.sqlite")) as counts:
        counts.add(Measurement(key, seconds, 0.0, 1) for key, seconds in spent.items())
    result = guest(layout, cpu, plugin, "table", given, path)
    wholes = [read_region(folder / f"count-whole{number}.region") for number in range(1, len(result["whole"]) + 1)]
    if core.model:
        core.learn(wholes)
    whole = {
        name: {"instructions": region.instructions, "cost": core.cost(region)}
        for name, region in zip(result["whole"], wholes, strict=True)
    }
    about = {"network": model.stem, "cpu": cpu, "unit": core.unit, "commit": commit(), "candidates": len(costs)}
    table = table_of(result)
    del result["problem"]
    return {**about, **played(table), **result, "whole": whole}


def table_of(result: dict[str, Any]) -> Table:
    """The game that a guest described."""
    costs, edges = result["problem"]
    layers = result["layers"]
    labels = tuple(tuple(way["way"] for way in layer["ways"]) for layer in layers)
    problem = Problem(costs, [dict(around) for around in edges])
    return Table(tuple(layer["name"] for layer in layers), labels, problem)


def played(table: Table) -> dict[str, Any]:
    """What agents find on a table."""
    least = table.total(table.optimum())
    regrets = {
        name: [play(make_agent(name), table, EPISODES, seed).value / least - 1 for seed in range(SEEDS)]
        for name in AGENTS
    }
    return {"plans": float(table.size), "optimum": least * _HERTZ, "episodes": EPISODES, "regrets": regrets}


def crossed(layout: Layout, figures: Sequence[dict[str, Any]]) -> None:
    """Adds what the best plans of other cores cost on each: over its own best; None where it cannot run them."""
    for one in figures:
        path = folder_of(layout, one["network"], one["cpu"]) / "count.table.json"
        if not path.exists():
            continue
        table = table_of(json.loads(path.read_text()))
        one["of_others"] = {}
        for other in figures:
            if other["network"] == one["network"] and other is not one:
                wanted = {layer["name"]: layer["chosen"] for layer in other["layers"]}
                pairs = [(labels, wanted.get(name)) for name, labels in zip(table.names, table.labels, strict=True)]
                runs = all(way in labels for labels, way in pairs)
                cost = table.total([labels.index(way) for labels, way in pairs]) * _HERTZ if runs else None
                one["of_others"][other["cpu"]] = None if cost is None else cost / one["optimum"]


def page(figures: Sequence[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = ["# Searches for emulated cores", "", *(PREFACE.strip().splitlines()), ""]
    for network in dict.fromkeys(one["network"] for one in figures):
        of_cores = [one for one in figures if one["network"] == network]
        cpus = [one["cpu"] for one in of_cores]
        lines += [f"## {network}", ""]
        heads = ["core", "unit", "plans", "default, whole", "best, by the table", "best, whole", "default over best"]
        heads += ["regret of Q-learning; of chance", *(f"plan of {cpu}" for cpu in cpus)]
        lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        for one in of_cores:
            whole, regrets = one["whole"], {name: median(values) for name, values in one["regrets"].items()}
            others = one.get("of_others", {})
            cells = [one["cpu"], one["unit"], f"{one['plans']:.1e}", f"{whole['default']['cost'] / 1e6:.3f} M"]
            cells += [f"{one['optimum'] / 1e6:.3f} M", f"{whole['found']['cost'] / 1e6:.3f} M"]
            cells += [f"{whole['default']['cost'] / whole['found']['cost']:.2f}"]
            cells += [f"{regrets['q-learning']:.2%}; {regrets['random']:.2%}"]
            cells += ["1" if cpu == one["cpu"] else _over(others.get(cpu)) for cpu in cpus]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", "| layer | op | " + " | ".join(cpus) + " |", "|---|---|" + "---|" * len(cpus)]
        for rows in zip(*(one["layers"] for one in of_cores), strict=True):
            chosen = [_short(row["chosen"]) for row in rows]
            lines.append("| " + " | ".join([rows[0]["name"], rows[0]["op"], *chosen]) + " |")
        lines.append("")
    return "\n".join(lines)


def _over(ratio: float | None) -> str:
    return "cannot run" if ratio is None else f"{ratio:.3f}"


def _short(chosen: str) -> str:
    return chosen.replace("_neon", "").replace("_fp32_fp32_fp32", "_fp32")


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
    crossed(layout, figures)
    write_json(options.json, figures)
    write_atomically(options.json.with_suffix(".md"), page(figures))


if __name__ == "__main__":
    main()
