"""The study of searches: networks × agents × seeds on measured tables, whole plans against BLAS in fp32 and the default
plan, and what each level of the design space brings by itself.

A network is seven pieces, each a file: a search over all levels, one in fp32 alone, which must not be slower than the
default plan, one over each level alone, whose plans are timed; the agents, which play on what was measured; and what
the measurements of a lesser device would have told of this one.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from thew.bench.machine import describe
from thew.bench.study.tables import about_machine, head
from thew.bench.study.transfers import SAMPLES, transferred
from thew.compress.accuracy import Data
from thew.compress.post_training import read
from thew.files import write_atomically, write_json
from thew.search.agents import make_agent, play
from thew.search.game import Table
from thew.search.prepare import PRECISIONS, Scope, calibrator_for, halves_for, prepare, types_of
from thew.search.run import search
from thew.search.space import LEVELS
from thew.search.trial import Samples

AGENTS = ("q-learning", "deep-q", "random", "greedy", "single-library", "annealing", "evolution", "bayesian", "exact")
_MOST_EPISODES = {"bayesian": 100, "deep-q": 100}  # of those whose episodes cost as much as dozens of the others'
SHORT = 100  # episodes of the short budget
_POINTS = 60  # of a curve that is kept
_METHOD = (
    "One thread. Plans are timed in turn with the default plan and BLAS in fp32; accuracy is that on samples that "
    "neither calibration nor search had seen."
)
PARTS = ("all", "fp32", *LEVELS, "agents", "transfer")
_DROP = 0.01
Tick = Callable[[str], None]


@dataclass(frozen=True)
class SearchedNetwork:
    """A network of the study: its name, its model, and labelled samples."""

    name: str
    path: str
    data: tuple[Any, Any]


@dataclass(frozen=True)
class SearchStudy:
    """What is run for every network.

    Attributes:
        folder: of the files; what is there is kept.
        episodes: of every agent; `seeds` searches each.
    """

    folder: Path
    episodes: int = 1000
    seeds: int = 10
    threads: int = 1
    agents: Sequence[str] = AGENTS

    def path(self, network: str, part: str) -> Path:
        """The file of a piece."""
        return self.folder / f"{network}_{part}.json"

    def run(self, network: SearchedNetwork, part: str, tick: Tick) -> None:
        """Runs a piece of PARTS that is not there yet."""
        path = self.path(network.name, part)
        if path.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        tick(f"{network.name}: {part}")
        found = self._found(network, part, tick)
        command = f"thew bench study search --networks {Path(network.path).name}=DATA --part {part}"
        command += f" --episodes {self.episodes} --seeds {self.seeds}"
        whole = {"network": network.name, **describe(), "command": command, "load": os.getloadavg(), **found}
        write_json(path, whole)

    def _found(self, network: SearchedNetwork, part: str, tick: Tick) -> dict[str, Any]:
        if part == "agents":
            return self._agents(network, tick)
        if part == "transfer":
            source = read(network.path)
            return {"transfer": transferred(source, types_of(source, Data(*network.data), {}), self.threads)}
        return self._searched(network, part)

    def _searched(self, network: SearchedNetwork, part: str) -> dict[str, Any]:
        """A search over all levels by the agent, with or without precisions, or over one by the exact optimum."""
        how: dict[str, Any] = {"agent": "q-learning", "episodes": self.episodes}
        if part in LEVELS:
            how = {"agent": "exact", "baselines": (), "episodes": 1, "levels": (part,)}
        if part != "fp32":
            how |= {"data": network.data, "max_accuracy_drop": _DROP}
        result = search(network.path, threads=self.threads, seeds=1, **how)
        fields = result.to_dict()
        for left in ("history", "choices", "regrets", "pareto"):
            del fields[left]
        return {"search": fields}

    def _agents(self, network: SearchedNetwork, tick: Tick) -> dict[str, Any]:
        """All agents and seeds on the network's table."""
        source, whole = read(network.path), Data(*network.data)
        types, samples = types_of(source, whole, {}), Samples.split(whole, 0).calibration
        calibrator = calibrator_for(source, samples, PRECISIONS, self.threads)
        halves = halves_for(source, types, samples, PRECISIONS, self.threads)
        scope = Scope(tune=False, halves=halves)
        table = prepare(source, types, self.threads, calibrator, scope).environment.table()
        optimum, agents = table.total(table.optimum()), {}
        for name in self.agents:
            tick(f"{network.name}: {name}")
            agents[name] = self._played(name, table, optimum)
        size = {"layers": len(table), "plans": float(table.size), "optimum_seconds": optimum}
        return {"table": size, "episodes": self.episodes, "agents": agents}

    def _played(self, name: str, table: Table, optimum: float) -> dict[str, Any]:
        episodes = min(self.episodes, _MOST_EPISODES.get(name, self.episodes))
        curves, short, seconds = [], [], []
        for seed in range(self.seeds):
            started = process_time()  # others may use the machine meanwhile
            found = play(make_agent(name), table, episodes, seed)
            seconds.append(process_time() - started)
            curves.append(found.curve / optimum - 1)
            best = found if episodes <= SHORT else play(make_agent(name), table, SHORT, seed)
            short.append(best.value / optimum - 1)
        at = np.unique(np.geomspace(1, episodes, _POINTS).astype(int)) - 1
        low, middle, high = np.quantile(np.asarray(curves)[:, at], (0.25, 0.5, 0.75), axis=0)
        return {
            "episodes": episodes,
            "regrets": [float(curve[-1]) for curve in curves],
            "regrets_short": short,
            "seconds": statistics.median(seconds),
            "curve": {
                "episode": (at + 1).tolist(),
                "low": low.tolist(),
                "median": middle.tolist(),
                "high": high.tolist(),
            },
        }


def write_search_report(folder: Path, names: Sequence[str], plots: bool = True) -> Path:
    """Writes the report of the pieces that are there, and the curves as a plot."""
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for part, found in parts.items():
        for name in names:
            path = folder / f"{name}_{part}.json"
            if path.exists():
                found[name] = json.loads(path.read_text())
    reports = [report for found in parts.values() for report in found.values()]
    about = about_machine(reports, _METHOD)
    lines = ["# Study of searches", "", *about, *_plans(list(parts["all"].values()))]
    lines += [*_in_fp32(list(parts["fp32"].values())), *_levels(parts)]
    lines += [*_agents(list(parts["agents"].values())), *_transfers(list(parts["transfer"].values()))]
    if plots and parts["agents"]:
        _plot(list(parts["agents"].values()), folder / "curves.svg")
        lines += ["![Regret by episode](curves.svg)", ""]
    path = folder / "index.md"
    write_atomically(path, "\n".join(lines))
    return path


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from head(columns)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _plans(reports: Sequence[Any]) -> Iterator[str]:
    yield from ("## Found plans, an accuracy drop of one point allowed", "")
    rows = []
    for report in reports:
        found = report["search"]
        seen = found["confirmation"]
        rows.append(
            (
                report["network"],
                *(f"{1e3 * found[name]['seconds']:.3f}" for name in ("baseline", "default", "best")),
                f"{found['speedup']:.2f}",
                f"{found['speedup_over_default']:.2f}",
                f"{found['memory_ratio']:.2f}",
                f"{100 * seen['reference']:.1f} → {100 * seen['found']:.1f} % of {seen['samples']}",
                f"{100 * found['hypervolume']:.0f} %",
            )
        )
    columns = (
        "network",
        "BLAS ms",
        "default ms",
        "found ms",
        "× BLAS",
        "× default",
        "memory, BLAS over it",
        "accuracy",
    )
    yield from _table((*columns, "hypervolume"), rows)
    if rows:
        ratios = [[float(row[column]) for row in rows] for column in (4, 5, 6)]
        medians = ", ".join(f"{statistics.median(values):.2f}" for values in ratios)
        yield f"Medians: {medians}; best {', '.join(f'{max(values):.2f}' for values in ratios)}."
        yield ""


def _in_fp32(reports: Sequence[Any]) -> Iterator[str]:
    if not reports:
        return
    yield from ("## Found plans in fp32 against the default plan, in rounds of their own", "")
    found = [report["search"] for report in reports]
    rows = [
        (
            report["network"],
            f"{1e3 * one['default']['seconds']:.3f}",
            f"{one['confirmed_over_default']:.3f}",
            f"{(one['default']['estimated_seconds'] or nan) / one['optimum_seconds']:.3f}",
        )
        for report, one in zip(reports, found, strict=True)
    ]
    yield from _table(("network", "default ms", "× default", "default in the table over its exact optimum"), rows)
    gained = [one["confirmed_over_default"] for one in found]
    yield from (f"Median {statistics.median(gained):.3f}, least {min(gained):.3f}, best {max(gained):.3f}.", "")


def _levels(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from ("## What each level brings alone (times the speed of BLAS in fp32; memory of BLAS over it)", "")
    columns = ("network", "default plan", *(f"{level} only" for level in LEVELS), "all")
    rows = []
    for name, report in parts["all"].items():
        usual, base = report["search"]["default"], report["search"]["baseline"]
        speed, memory = (base[what] / usual[what] for what in ("seconds", "peak_memory_bytes"))
        alone = [parts[part][name]["search"] if name in parts[part] else None for part in (*LEVELS, "all")]
        cells = (f"{one['speedup']:.2f}; {one['memory_ratio']:.2f}" if one else "" for one in alone)
        rows.append((name, f"{speed:.2f}; {memory:.2f}", *cells))
    yield from _table(columns, rows)


def _agents(reports: Sequence[Any]) -> Iterator[str]:
    for part, title in (("regrets_short", f"after {SHORT} episodes"), ("regrets", "at the end")):
        yield from (f"## Regret against the exact optimum, {title} (median over seeds; quartiles)", "")
        names = list(dict.fromkeys(name for report in reports for name in report["agents"]))
        rows = []
        for name in names:
            cells = []
            for report in reports:
                low, middle, high = np.quantile(report["agents"][name][part], (0.25, 0.5, 0.75)) * 100
                cells.append(f"{middle:.2f} % ({low:.2f} to {high:.2f})")
            seconds = statistics.median(report["agents"][name]["seconds"] for report in reports)
            episodes = reports[0]["agents"][name]["episodes"]
            rows.append((name, *cells, f"{seconds:.2f} for {episodes}"))
        yield from _table(("agent", *(report["network"] for report in reports), "seconds"), rows)


def _transfers(reports: Sequence[Any]) -> Iterator[str]:
    if not reports:
        return
    yield from ("## From one device to another", "")
    yield "A device with the lesser instruction sets alone stands for another one; fp32, every row on one of both only."
    yield ""
    rows = []
    for report in reports:
        for name, words in (("same_layers", "all networks there"), ("other_networks", "other networks there")):
            found = report["transfer"].get(name, {})
            if "survey" in found:
                errors = (
                    f"{100 * one['median_error']:.0f} %; {one['rank_correlation']:.3f}" for one in found["agreements"]
                )
                seen = found["survey"]
                measured = f"{seen['ways'] - seen['left']} of {seen['ways']}"
                rows.append((report["network"], words, *errors, measured, f"{100 * seen['regret']:.2f} %"))
    errors = (f"error; rank correlation, {n} samples" for n in SAMPLES)
    yield from _table(("network", "learnt from", *errors, "ways measured", "regret of the optimum"), rows)


def _plot(reports: Sequence[Any], path: Path) -> None:
    from thew.bench.study.plots import save

    def draw(figure: Any, rows: Sequence[Any]) -> None:
        for axes, report in zip(figure.subplots(1, len(rows), sharey=True, squeeze=False)[0], rows, strict=True):
            for name, found in report["agents"].items():
                curve = found["curve"]
                (line,) = axes.plot(curve["episode"], np.maximum(curve["median"], 1e-4), label=name)
                between = (np.maximum(curve[side], 1e-4) for side in ("low", "high"))
                axes.fill_between(curve["episode"], *between, color=line.get_color(), alpha=0.15)
            axes.set(title=report["network"], xscale="log", yscale="log", xlabel="episodes")
        figure.axes[0].set_ylabel("regret")
        figure.axes[-1].legend(fontsize=7)

    save(draw, reports, path)
