"""`search`: a model, a device and a goal in; a plan out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from thew.compress.accuracy import Data
from thew.compress.observe import Progress, silent
from thew.compress.post_training import read
from thew.errors import InputError, UnsupportedError
from thew.ir import Graph
from thew.plan import build_plan
from thew.runtime.device import device_key, target
from thew.runtime.energy import choose_meter
from thew.search.chains import with_chains
from thew.search.contest import Contest
from thew.search.forms import INTEGER
from thew.search.game import Assignment
from thew.search.in_place import corrected
from thew.search.layers import layers_of
from thew.search.network_level import planned_graph
from thew.search.objective import LATENCY, Goal, Objective
from thew.search.pareto import non_dominated
from thew.search.prepare import PRECISIONS, Scope, calibrator_for, check_precisions, halves_for, prepare, types_of
from thew.search.pruned import Level, Pruning, choose_pruning
from thew.search.result import Confirmation, Point, Result
from thew.search.space import LEVELS, Settings, check_levels, size_of
from thew.search.stages import Stages
from thew.search.transfer import Transfer
from thew.search.trial import BLAS, DEFAULT, Network, Samples, Trials
from thew.search.weights import choose_weights

BASELINES = ("random", "greedy", "exact", "cautious")
CHAINS = "strips"  # the best by the table, with the strips of each chain as they are fastest
SEEDS = 10  # of the agents' regrets
_BATCH = 16  # of throughput, where the model leaves it open
_HOPELESS = 1.1  # times the default's first time: what took longer is not asked whether it is faster after all


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
    pruning: Sequence[Level] = (),
    finetune_epochs: int = 0,
    levels: Sequence[str] = LEVELS,
    settings: Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    baselines: Sequence[str] = BASELINES,
    seeds: int = SEEDS,
    budget_seconds: float = 300.0,
    cache: str | os.PathLike[str] | None = None,
    farm: Executor | None = None,
    transfer_from: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
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
        precisions: that layers may compute in: "fp32", and where accuracy may be lost "int8" by post-training
            quantisation, "bf16" and "fp16" (of which a plan has the one that is faster here).
        pruning: levels that are tried beside none: shares of channels such as 0.25, patterns such as "2:4", shares of
            blocks such as "block:0.7"; where one is taken, `result.model` is the pruned model, to which the plan
            belongs (as it is the one with int8 weights under floats, where dense layers are faster with these).
        finetune_epochs: of training after pruning, on the samples that calibrate.
        levels: that are searched, of "network", "algorithm" and "implementation"; on the others the planner chooses.
        settings: of the agent, such as ``{"learning_rate": 0.1}``.
        input_shapes: extents for inputs with symbolic ones; by default those of one sample of `data`, or 1 (16 for
            throughput).
        baselines: agents that play beside it with as many episodes, for the report.
        seeds: of the regrets in the report, for the agent and the baselines.
        budget_seconds: for measurements; what is over is estimated.
        cache: file of measurements; by default one in the user's cache folder, or under ``THEW_CACHE``.
        farm: whose workers measure layers, on boards of this kind (`thew.search.farm.mpi_farm`); None: this process.
        transfer_from: file of another device's measurements: a model that is learnt from them says what is worth
            measuring here, once it was corrected by a few layers (`thew.search.transfer`).
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
    if not isinstance(threads, int) or not 1 <= threads <= 1024 or not isinstance(seed, int) or seed < 0:
        raise InputError(
            f"search: threads must be between 1 and 1024 and seed at least 0, got {threads!r} and {seed!r}"
        )
    wanted = Objective(Objective.parse(objective), max_memory_bytes, max_energy_joules, max_accuracy_drop)
    contest = Contest(agent, settings or {}, tuple(baselines), episodes)
    check_precisions(precisions)
    searched = check_levels(levels)
    contest.players()  # refuses what is no agent before anything is measured
    progress = stages = Stages(progress, "reading")
    transfer = None if transfer_from is None else Transfer.of(transfer_from)
    whole = None if data is None else Data(np.asarray(data[0]), np.asarray(data[1]))
    samples = None if whole is None else Samples.split(whole, seed)
    source = read(model)
    open_batch = _BATCH if "throughput" in wanted.weights else 1
    types = types_of(source, whole, input_shapes or {}, open_batch)
    may_lose = max_accuracy_drop is not None and "network" in searched
    calibrated = samples.calibration if samples is not None and may_lose else None
    shares = Pruning(tuple(pruning), finetune_epochs, calibrated)
    with ExitStack() as stack:
        meter = stack.enter_context(choose_meter()) if wanted.needs_energy else None
        usual = Settings(threads=threads)
        default = Network(source, build_plan(planned_graph(source, types, usual), target(threads)))
        trials = Trials(source, samples, types, threads)
        keeps = trials.within(max_accuracy_drop)
        lean, pruned = choose_pruning(source, types, shares, usual, keeps, wanted, progress)
        lean, weighed = (
            choose_weights(lean, types, usual, keeps, wanted, progress)
            if may_lose and INTEGER in precisions
            else (lean, ())
        )
        halves = halves_for(lean, types, calibrated, precisions, threads, cache)
        calibrator = calibrator_for(lean, calibrated, precisions, threads, progress, cache)
        scope = Scope(searched, wanted, True, halves, budget_seconds, farm, cache, transfer)
        prepared = prepare(lean, types, threads, calibrator, scope, progress)
        environment, table = prepared.environment, prepared.environment.table()
        looked: dict[Assignment, float] = {}
        if wanted.is_time:
            table, looked = corrected(environment, table, trials, default.plan.choices, progress)
        units = (table.total(table.optimum()), default.plan)
        contest.hold(table, wanted, lambda one: Goal(environment, table, one, units, keeps), seed, progress)
        contest.enter("in place", looked)
        networks = {DEFAULT: default}
        networks.update({name: built for name, to in contest.finalists.items() if (built := environment.network(to))})
        if wanted.is_time and "implementation" in searched:
            for name, to in list(contest.finalists.items())[:1]:
                tuned = with_chains(environment, trials, to, networks[name]) if name in networks else None
                if tuned is not None:
                    networks[CHAINS], contest.finalists[CHAINS] = tuned, to
        estimates = {name: table.total(to) for name, to in contest.finalists.items()}
        usual_way = environment.assignment_of(default.plan.choices)
        if usual_way is not None:
            estimates[DEFAULT] = table.total(usual_way)
        keys = {name: environment.accuracy_key(to) for name, to in contest.finalists.items()}
        points = trials.points(networks, estimates, keys, progress, meter)
    progress("confirming", 0, 1)
    winner, confirmation, over_default = _best(wanted, networks, points, trials, keys)
    regrets = contest.regrets(table, range(seed, seed + seeds), progress)
    plans = [point for name, point in points.items() if name != BLAS]
    front = non_dominated([(p.seconds, p.peak_memory_bytes, -(p.accuracy.share if p.accuracy else 0.0)) for p in plans])
    return Result(
        plan=networks[winner].plan,
        best=points[winner],
        default=points[DEFAULT],
        baseline=points[BLAS],
        confirmation=confirmation,
        over_default=over_default,
        points=tuple(plans),
        pareto=tuple(plans[index] for index in front),
        history={name: tuple(map(float, one.curve)) for name, one in contest.found.items()},
        regrets=regrets,
        optimum_seconds=table.total(table.optimum()),
        layers=layers_of(environment, table, contest.finalists.get(winner), networks[winner].plan),
        tried=(*pruned, *weighed, *prepared.tried),
        model=lean if lean is not source and winner != DEFAULT else None,
        stages=stages.seconds(),
        settings={
            "model": Path(os.fspath(model)).name if isinstance(model, str | os.PathLike) else source.name,
            "objective": objective if isinstance(objective, str) else dict(objective),
            "max_accuracy_drop": max_accuracy_drop,
            "max_memory_bytes": max_memory_bytes,
            "max_energy_joules": max_energy_joules,
            "agent": agent,
            "episodes": episodes,
            "threads": threads,
            "seed": seed,
            "open_batch": open_batch,
            "calibration": prepared.settings.calibration,
            "levels": sorted(scope.levels),
            "device": device_key(),
            "space": size_of(
                environment.measured, replace(usual, halves=halves, prunings=shares.levels), prepared.facts
            ),
            "blas": trials.blas.library,
            "transfer": None if transfer is None or transfer.agreement is None else asdict(transfer.agreement),
        },
    )


def _best(
    wanted: Objective,
    networks: Mapping[str, Network],
    points: Mapping[str, Point],
    trials: Trials,
    keys: Mapping[str, Any],
) -> tuple[str, Confirmation | None, float]:
    """The best plan that keeps every bound, also on samples that nobody saw, and its share of the default's time.

    Where time is what counts, rounds of their own decide between each and the default, which is asked last: the best
    of several by their first times is best by chance, too.

    Raises UnsupportedError where there is none.
    """
    drop = wanted.max_accuracy_drop
    usual = points[DEFAULT].seconds

    def value(name: str) -> tuple[bool, tuple[float, float]]:
        near = wanted.is_time and (name == DEFAULT or points[name].seconds > _HOPELESS * usual)
        return near, wanted.of_point(points[name], points[DEFAULT])

    order = sorted(networks, key=value)
    for name in order:
        if not wanted.allows(points[name]):
            continue
        if drop is not None and name != DEFAULT and not trials.keeps(networks[name], keys[name], drop):
            continue
        ratio = 1.0 if name == DEFAULT else trials.ratio(networks[name], networks[DEFAULT])
        if wanted.is_time and ratio >= 1 and name != DEFAULT and wanted.allows(points[DEFAULT]):
            continue
        if trials.samples is None:
            return name, None, ratio
        kept, accuracy = trials.compare(networks[name], trials.samples.confirmation, 1.0 if drop is None else drop)
        if kept or name == DEFAULT:
            return name, Confirmation(trials.compare(None, trials.samples.confirmation)[1], accuracy), ratio
    raise UnsupportedError(
        f"search: a plan must keep max_memory_bytes = {wanted.max_memory_bytes}, max_energy_joules = "
        f"{wanted.max_energy_joules} and max_accuracy_drop = {drop}, got none; loosen a bound or play more"
    )
