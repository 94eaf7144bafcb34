"""Runs in the emulated Python: the space of a network on this core.

argv: "survey" or "table", a model, an .npz file with x and y, and a path. A survey counts every way to run every
distinct layer and every conversion, each a region of the plugin that writes to that path, and says which is which.
A table takes from PATH.costs.json what each costs, gives the game that agents play, and counts whole networks: that of
the optimum, and the planner's own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from guest import START, WHOLE, count_whole, mark

import thew
from thew.compress.accuracy import Data
from thew.compress.post_training import read
from thew.ir import TensorType
from thew.plan import build_plan
from thew.runtime.cache import Measurement
from thew.runtime.native import supported_rows
from thew.search.environment import Environment
from thew.search.game import Assignment
from thew.search.network_level import usable_halves
from thew.search.prepare import PRECISIONS, calibrator_for, space_of, types_of
from thew.search.space import Settings
from thew.search.trial import Network

SAMPLES = 8  # that calibrate: steps of quantisation do not change what is counted
HALF = "fp16"


def space(model: str, data: str) -> tuple[Environment, Mapping[str, TensorType]]:
    """The network's space: fp32, integers, and fp16 where this core computes in it."""
    source, arrays = read(model), np.load(data)
    samples = Data(arrays["x"][:SAMPLES], arrays["y"][:SAMPLES])
    types = types_of(source, samples, {})
    has_half = any(row.a == HALF and row.acc == HALF for row in supported_rows())
    halves = usable_halves(source, types, (HALF,), samples.x, 1) if has_half else ()
    settings = Settings(half="".join(halves), halves=halves)
    return space_of(source, types, settings, calibrator_for(source, samples, PRECISIONS, 1)), types


def survey(environment: Environment, path: Path) -> dict[str, Any]:
    """Counts each trial in a region of its own; the first is that of a call that does nothing."""
    counted, refused = ["nothing"], []
    count(lambda: None, path, 0)
    for trial in environment.trials():
        try:
            run = trial.prepare()
            run()
        except thew.Error:
            refused.append(trial.key)
            continue
        count(run, path, len(counted))
        counted.append(trial.key)
    return {"counted": counted, "refused": refused}


def count(run: Callable[[], None], path: Path, number: int) -> None:
    mark(START)
    run()
    mark(WHOLE)
    path.with_name(f"{path.name}.{WHOLE}").rename(path.with_name(f"{path.name}-{number}.region"))


def table_of(environment: Environment, types: Mapping[str, TensorType], path: Path) -> dict[str, Any]:
    """The counted table, and regions of whole networks: the optimum and the default in fp32."""
    given = json.loads(path.with_suffix(".costs.json").read_text())
    known = {key: Measurement(key, seconds, 0.0, 1) for key, seconds in given["costs"].items()}
    environment.fill(known, frozenset(given["refused"]))
    table = environment.table()
    best = table.optimum()
    networks = {"found": environment.network(best)}
    networks["default"] = Network(environment.source, build_plan(environment.graph, environment.target))
    x = {name: np.zeros(known.static_shape, np.float32) for name, known in types.items()}
    for number, network in enumerate(filter(None, networks.values()), 1):
        session = thew.InferenceSession(network.graph, threads=1, plan=network.plan)
        count_whole(lambda session=session: session.run(None, x))  # type: ignore[misc]
        path.with_name(f"{path.name}.{WHOLE}").rename(path.with_name(f"{path.name}-whole{number}.region"))
    layers = [layer(environment, position, best) for position in range(len(table))]
    return {
        "isa": environment.target.isas[0],
        "whole": [name for name, network in networks.items() if network is not None],
        "layers": layers,
        "problem": [table.problem.costs, [list(around.items()) for around in table.problem.edges]],
    }


def layer(environment: Environment, position: int, chosen: Assignment) -> dict[str, Any]:
    key, ways = list(environment.alternatives.items())[position]
    said = [{"way": str(way.choice), "precision": way.choice.precision, "seconds": way.cost.seconds} for way in ways]
    node = environment.graph.nodes[position]
    return {"name": key, "op": node.op, "chosen": str(ways[chosen[position]].choice), "ways": said}


def main() -> None:
    phase, model, data, path = sys.argv[1:]
    environment, types = space(model, data)
    found = survey(environment, Path(path)) if phase == "survey" else table_of(environment, types, Path(path))
    Path(path).with_suffix(f".{phase}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
