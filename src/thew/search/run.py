"""`search`: a model, a device and a goal in; a plan out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from thew.compress import Calibrator
from thew.compress.accuracy import Data
from thew.errors import InputError, UnsupportedError
from thew.ir import Graph, TensorType
from thew.passes import pipeline
from thew.plan import build_plan
from thew.runtime.cache import Cache, default_path
from thew.runtime.device import device_key, target
from thew.runtime.energy import choose_meter
from thew.runtime.executable import prepare_graph
from thew.search.agents import Agent, Fixed, Found, make_agent, play
from thew.search.environment import Environment
from thew.search.game import Assignment, Table
from thew.search.layers import layers_of
from thew.search.measure import kernels_version
from thew.search.mixed import FLOAT, INTEGER, MixedEnvironment
from thew.search.objective import LATENCY, PARETO, Goal, Objective
from thew.search.pareto import non_dominated
from thew.search.result import Confirmation, Point, Result
from thew.search.trial import BLAS, DEFAULT, Network, Progress, Samples, Trials

BASELINES = ("random", "greedy", "exact")
PRECISIONS = (FLOAT, INTEGER)
SEEDS = 10  # of the agents' regrets
_FINALISTS = 4  # of one objective, timed as whole networks beside the default plan
_BATCH = 16  # of throughput, where the model leaves it open


def search(
    model: str | os.PathLike[str] | bytes | Graph,
    data: tuple[Any, Any] | None = None,
    objective: str | Mapping[str, float] = LATENCY,
    max_accuracy_drop: float | None = None,
    max_memory_bytes: int | None = None,
    agent: str = "q-learning",
    episodes: int = 1000,
    threads: int = 1,
    seed: int = 0,
    *,
    max_energy_joules: float | None = None,
    precisions: Sequence[str] = PRECISIONS,
    calibration: str = "minmax",
    settings: Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    baselines: Sequence[str] = BASELINES,
    seeds: int = SEEDS,
    budget_seconds: float = 300.0,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Result:
    """Finds how a model runs best on this machine.

    Every way to run every layer and every conversion between layouts is measured (once: measurements are kept), an
    agent plays on the table that results, and the best plans are timed as whole networks beside the default one and
    beside the network on BLAS in fp32. Reinforcement learning over primitives: de Prado, Pazos and Benini, "Learning to
    infer", DATE 2019.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        data: samples x along the first axis and integer classes y, to measure accuracy on; None for no accuracy. They
            are cut in three: to calibrate, to search and to confirm on.
        objective: "latency", "throughput", "memory" (arena and weights), "size" (weights), "energy", "pareto" (the
            fastest, and all that nothing beats in time, memory and accuracy), or a weight for each of several.
        max_accuracy_drop: how much of the accuracy of the model as it is may be lost, as a share; needs `data`.
        max_memory_bytes: bound of arena and weights.
        agent: one of `thew.search.agents.AGENTS`.
        episodes: assignments that the agent may try.
        threads: workers that the plan uses.
        seed: of everything random.
        max_energy_joules: bound of one run.
        precisions: that layers may compute in: "fp32", and "int8" by post-training quantisation, where accuracy may be
            lost.
        calibration: how ranges of activations are chosen: "minmax", "percentile", "entropy" or "mse".
        settings: of the agent, such as ``{"learning_rate": 0.1}``.
        input_shapes: extents for inputs with symbolic ones; by default those of one sample of `data`, or 1 (16 for
            throughput).
        baselines: agents that play beside it with as many episodes, for the report.
        seeds: of the regrets in the report, for the agent and the baselines.
        budget_seconds: for measurements; what is over is estimated.
        cache: file of measurements; by default one in the user's cache folder, or under ``THEW_CACHE``.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The result; `result.plan.save(path)` keeps the plan for ``InferenceSession(model, plan=path)``.

    Raises:
        InputError: an argument is not one of those above.
        UnsupportedError: no plan keeps all bounds, or a node has no kernel.
        SensorError: energy is asked for, and this machine has no sensor.
    """
    if max_accuracy_drop is not None and (data is None or not 0 <= max_accuracy_drop <= 1):
        raise InputError(
            f"max_accuracy_drop: must be from 0 to 1 and come with data, got {max_accuracy_drop!r}; give data=(x, y)"
        )
    wanted = Objective(Objective.parse(objective), max_memory_bytes, max_energy_joules, max_accuracy_drop)
    players = {name: make_agent(name, **(settings or {} if name == agent else {})) for name in (agent, *baselines)}
    whole = None if data is None else Data(np.asarray(data[0]), np.asarray(data[1]))
    samples = None if whole is None else Samples.split(whole, seed)
    source, open_extent = read(model), _BATCH if "throughput" in wanted.weights else 1
    with ExitStack() as stack:
        meter = stack.enter_context(choose_meter()) if wanted.needs_energy else None
        environment = environment_of(
            source,
            threads,
            whole,
            input_shapes,
            cache,
            budget_seconds,
            lambda *at: progress("measuring", *at),
            open_extent=open_extent,
            calibrator=_calibrator(source, samples, precisions, max_accuracy_drop, threads, progress),
            calibration=calibration,
        )
        types = {value.name: value.type for value in environment.graph.inputs}
        trials = Trials(source, samples, types, threads)
        table = environment.table()
        default = Network(source, build_plan(environment.graph, target(threads)))
        found: dict[str, Found] = {}
        finalists: dict[str, Assignment] = {}
        for label, one in _objectives(wanted):
            table.extra = _goal(environment, table, one, default, trials)
            for position, (name, player) in enumerate(sorted(players.items(), key=_exact_first)):
                progress("playing", position, len(players))
                outcome = play(player, table, episodes, seed)
                found.setdefault(name, outcome)
                found[f"{name}{label}"] = outcome
            finalists.update(_finalists({name + label: found[name + label] for name in players}, finalists))
        table.extra = lambda chosen: 0.0
        networks = {DEFAULT: default}
        networks.update({name: built for name, to in finalists.items() if (built := environment.network(to))})
        estimates = {name: table.total(to) for name, to in finalists.items()}
        points = trials.points(networks, estimates, progress, meter)
    keys = {name: environment.accuracy_key(to) for name, to in finalists.items()}
    winner, confirmation = _best(wanted, networks, points, trials, keys)
    plans = [point for name, point in points.items() if name != BLAS]
    front = non_dominated([(p.seconds, p.peak_memory_bytes, -(p.accuracy.share if p.accuracy else 0.0)) for p in plans])
    return Result(
        plan=networks[winner].plan,
        best=points[winner],
        default=points[DEFAULT],
        baseline=points[BLAS],
        confirmation=confirmation,
        points=tuple(plans),
        pareto=tuple(plans[index] for index in front),
        history={name: tuple(map(float, found[name].curve)) for name in players},
        regrets=_regrets(players, settings or {}, agent, table, episodes, range(seed, seed + seeds), progress),
        optimum_seconds=table.total(table.optimum()),
        layers=layers_of(environment, finalists.get(winner), networks[winner].plan),
        settings={
            "objective": objective if isinstance(objective, str) else dict(objective),
            "max_accuracy_drop": max_accuracy_drop,
            "max_memory_bytes": max_memory_bytes,
            "max_energy_joules": max_energy_joules,
            "agent": agent,
            "episodes": episodes,
            "threads": threads,
            "seed": seed,
            "device": device_key(),
            "space": float(table.size),
            "blas": trials.blas.library,
        },
    )


def _calibrator(
    source: Graph,
    samples: Samples | None,
    precisions: Sequence[str],
    max_accuracy_drop: float | None,
    threads: int,
    progress: Progress,
) -> Calibrator | None:
    """What quantises the model; None where nothing may be quantised, or it is already."""
    unknown = set(precisions) - set(PRECISIONS)
    if unknown or FLOAT not in precisions:
        raise InputError(f"precisions: must be {FLOAT} and others of {', '.join(PRECISIONS)}, got {tuple(precisions)}")
    is_quantised = any(node.op == "quantize_linear" for node in source.nodes)
    if samples is None or max_accuracy_drop is None or INTEGER not in precisions or is_quantised:
        return None
    return Calibrator(source, samples.calibration.x, threads=threads, progress=progress)


def _exact_first(player: tuple[str, Agent]) -> bool:
    """What is sure to be good goes first: the others then ask less of what takes long."""
    return not isinstance(player[1], Fixed)


def _objectives(wanted: Objective) -> list[tuple[str, Objective]]:
    """What is played for; the whole front by its ends and three mixtures of them."""
    if PARETO not in wanted.weights:
        return [("", wanted)]
    mixtures: list[Mapping[str, float]] = [{LATENCY: 1.0}, {"memory": 1.0}]
    mixtures += [{LATENCY: share, "memory": 1 - share} for share in (0.8, 0.5, 0.2)]
    bounds = (wanted.max_memory_bytes, wanted.max_energy_joules, wanted.max_accuracy_drop)
    return [(" ".join(["", *(f"{k}×{v:.1g}" for k, v in mix.items())]), Objective(mix, *bounds)) for mix in mixtures]


def _goal(environment: Environment, table: Table, wanted: Objective, default: Network, trials: Trials) -> Goal:
    drop = wanted.max_accuracy_drop
    if drop is None:
        return Goal(environment, table, wanted, default.plan)
    return Goal(environment, table, wanted, default.plan, lambda network, key: trials.keeps(network, key, drop))


def _finalists(found: Mapping[str, Found], taken: Mapping[str, Assignment]) -> dict[str, Assignment]:
    """The best assignment of each agent, without repetitions, best first."""
    finalists: dict[str, Assignment] = {}
    for name, one in sorted(found.items(), key=lambda item: item[1].value):
        known = one.best in finalists.values() or one.best in taken.values()
        if np.isfinite(one.value) and not known and len(finalists) < _FINALISTS:
            finalists[name] = one.best
    return finalists


def _best(
    wanted: Objective,
    networks: Mapping[str, Network],
    points: Mapping[str, Point],
    trials: Trials,
    keys: Mapping[str, Any],
) -> tuple[str, Confirmation | None]:
    """The best plan that keeps every bound, also on samples that nobody saw.

    Raises UnsupportedError where there is none.
    """
    drop = wanted.max_accuracy_drop
    order = sorted(networks, key=lambda name: wanted.of_point(points[name], points[DEFAULT]))
    for name in order:
        if not wanted.allows(points[name]):
            continue
        if drop is not None and name != DEFAULT and not trials.keeps(networks[name], keys[name], drop):
            continue
        if trials.samples is None:
            return name, None
        kept, accuracy = trials.compare(networks[name], trials.samples.confirmation, 1.0 if drop is None else drop)
        if kept or name == DEFAULT:
            return name, Confirmation(trials.compare(None, trials.samples.confirmation)[1], accuracy)
    raise UnsupportedError(
        f"search: a plan must keep max_memory_bytes = {wanted.max_memory_bytes}, max_energy_joules = "
        f"{wanted.max_energy_joules} and max_accuracy_drop = {drop}, got none; loosen a bound or play more"
    )


def _regrets(
    names: Sequence[str] | Mapping[str, Any],
    settings: Mapping[str, Any],
    agent: str,
    table: Table,
    episodes: int,
    seeds: Sequence[int],
    progress: Progress,
) -> dict[str, tuple[float, ...]]:
    """For each agent and seed, by what share its best sum is over the least one of the table."""
    optimum = table.total(table.optimum())
    regrets = {}
    for position, name in enumerate(names):
        progress("regrets", position, len(names))
        values = []
        for seed in seeds:
            player = make_agent(name, **(settings if name == agent else {}))
            values.append(play(player, table, episodes, seed).value / optimum - 1)
        regrets[name] = tuple(values)
    return regrets


def environment_of(
    model: str | os.PathLike[str] | bytes | Graph,
    threads: int = 1,
    samples: Data | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    cache: str | os.PathLike[str] | None = None,
    budget_seconds: float = 300.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    open_extent: int = 1,
    calibrator: Calibrator | None = None,
    calibration: str = "minmax",
) -> Environment:
    """A model's space of plans on this machine, measured; the arguments are those of `search`.

    With a calibrator, every layer may also run on 8-bit integers.
    """
    source = read(model)
    loaded = pipeline.run(source, pipeline.LOAD)
    graph = prepare_graph(loaded, types_of(loaded, samples, input_shapes or {}, open_extent))
    if calibrator is None:
        environment = Environment(source, graph, target(threads))
    else:
        environment = MixedEnvironment(source, graph, target(threads), calibrator, calibration)
    kept = Cache(device_key(), kernels_version(), Path(cache) if cache is not None else default_path())
    try:
        environment.survey(kept, budget_seconds, progress)
    finally:
        kept.close()
    return environment


def read(model: str | os.PathLike[str] | bytes | Graph) -> Graph:
    """The model as a graph."""
    if isinstance(model, Graph):
        return model
    from thew.onnx import read as read_onnx

    return read_onnx(model)


def types_of(
    graph: Graph, samples: Data | None, shapes: Mapping[str, Sequence[int]], open_extent: int = 1
) -> dict[str, TensorType]:
    """Static types of the inputs: as given, as in the data, else `open_extent` for what is symbolic."""
    types = {}
    for value in graph.inputs:
        shape = shapes.get(value.name)
        declared = value.type.shape or ()
        if shape is None and samples is not None and len(graph.inputs) == 1:
            first = declared[0] if declared and isinstance(declared[0], int) else open_extent
            shape = (first, *samples.x.shape[1:])
        if shape is None:
            shape = tuple(
                extent if isinstance(extent, int) else (1 if axis else open_extent)
                for axis, extent in enumerate(declared)
            )
        types[value.name] = TensorType(value.type.dtype, tuple(map(int, shape)))
    return types
