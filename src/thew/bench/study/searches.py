"""The study of searches: networks × agents × seeds on measured tables, whole plans against BLAS in fp32 and the default
plan, and what each level of the design space brings by itself.

A network is eight pieces, each a file: a search over all levels, whose plan is timed beside peers; two in fp32 alone,
on one thread and on two, which must not be slower than the default plan; one over each level alone, whose plans are
timed; the agents, which play on what was measured; and what the measurements of a lesser device would have told of
this one.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from thew.bench.machine import describe
from thew.bench.rivals import race
from thew.bench.study.transfers import transferred
from thew.compress.accuracy import Data, labelled
from thew.compress.post_training import read
from thew.files import write_json
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
IN_FP32, TOGETHER = "fp32", "fp32_2t"  # on the study's threads; on two
PARTS = ("all", IN_FP32, TOGETHER, *LEVELS, "agents", "transfer")
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
        threads: of all pieces but one.
        peers: that found plans are timed beside, as far as they are installed.
    """

    folder: Path
    episodes: int = 1000
    seeds: int = 10
    threads: int = 1
    agents: Sequence[str] = AGENTS
    peers: Sequence[str] = ()

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
        command += f" --episodes {self.episodes} --seeds {self.seeds} --threads {self.threads}"
        command += f" --peers {','.join(self.peers)}" if self.peers and part == "all" else ""
        whole = {"network": network.name, **describe(), "command": command, "load": os.getloadavg(), **found}
        write_json(path, whole)

    def _found(self, network: SearchedNetwork, part: str, tick: Tick) -> dict[str, Any]:
        if part == "agents":
            return self._agents(network, tick)
        if part == "transfer":
            source = read(network.path)
            return {"transfer": transferred(source, types_of(source, Data(*network.data), {}), self.threads)}
        return self._searched(network, part, tick)

    def _searched(self, network: SearchedNetwork, part: str, tick: Tick) -> dict[str, Any]:
        """A search over all levels by the agent, with or without precisions, or over one by the exact optimum."""
        how: dict[str, Any] = {"agent": "q-learning", "episodes": self.episodes}
        if part in LEVELS:
            how = {"agent": "exact", "baselines": (), "episodes": 1, "levels": (part,)}
        if part not in (IN_FP32, TOGETHER):
            how |= {"data": network.data, "max_accuracy_drop": _DROP}
        result = search(network.path, threads=2 if part == TOGETHER else self.threads, seeds=1, **how)
        if self.peers and part == "all":
            rivals, absent = race(result, network.path, self.peers, labelled(network.data))
            for name, reason in absent.items():
                tick(f"{network.name}: without {name}: {reason}")
            result = replace(result, rivals=rivals)
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
