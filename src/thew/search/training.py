"""Plans of training steps: algorithms and layouts of the forward pass, of both gradients and of the updates, chosen on
measured times as those of inference are.

A step changes parameters and states. What is tried runs on them all the same, and they are put back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thew.compress.observe import Progress, silent
from thew.compress.post_training import read
from thew.dtypes import to_numpy
from thew.errors import InputError, PlanError, UnsupportedError
from thew.ir import Graph
from thew.nn import Module
from thew.plan import Plan
from thew.runtime.device import device_key
from thew.search.contest import Contest
from thew.search.environment import Environment
from thew.search.layers import layers_of
from thew.search.measure import measurements
from thew.search.objective import LATENCY, Objective
from thew.search.result import Layer
from thew.search.trial import DEFAULT, times_in_turn
from thew.train import Trainer
from thew.train.engine import Prepared

STEP_TIME = "step_time"
_BASELINES = ("random", "greedy", "exact")
_ROUNDS = 15


@dataclass(frozen=True)
class StepResult:
    """The outcome of a search over the plan of a training step.

    Attributes:
        plan: the best plan; `Trainer.follow` runs steps by it.
        seconds: of each plan that was timed as a whole, the median, in the default's seconds.
        best: the name of the best of them, confirmed in rounds of its own.
        over_default: its share of the default's time there.
        history: for each agent that played, its best sum after every episode.
        regrets: for each agent, by seed, by what share its best sum is over the least one.
        optimum_seconds: the least sum of the table.
        layers: what was chosen, node by node, and what else there was.
        settings: what the search was asked for, and the machine.
    """

    plan: Plan
    seconds: Mapping[str, float]
    best: str
    over_default: float
    history: Mapping[str, Sequence[float]]
    regrets: Mapping[str, Sequence[float]]
    optimum_seconds: float
    layers: tuple[Layer, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def speedup_over_default(self) -> float:
        """The default plan's time over that of the plan."""
        return 1 / self.over_default

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "seconds": dict(self.seconds),
            "best": self.best,
            "speedup_over_default": self.speedup_over_default,
            "history": {name: list(curve) for name, curve in self.history.items()},
            "regrets": {name: list(values) for name, values in self.regrets.items()},
            "optimum_seconds": self.optimum_seconds,
            "peak_memory_bytes": self.plan.peak_memory_bytes,
            "choices": {layer.name: layer.chosen for layer in self.layers},
            "settings": dict(self.settings),
        }


def search_step(
    model: Trainer | Module | Graph | str | os.PathLike[str] | bytes,
    agent: str = "q-learning",
    episodes: int = 1000,
    threads: int = 1,
    seed: int = 0,
    *,
    batch_size: int = 32,
    input_shape: Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    baselines: Sequence[str] = _BASELINES,
    seeds: int = 10,
    budget_seconds: float = 300.0,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> StepResult:
    """Finds how a training step runs best on this machine.

    Args:
        model: a trainer with an input_shape, whose precision, optimiser and threads count; or a model, which is given
            to a trainer of cross-entropy by SGD. A trainer follows the plan from then on.
        agent: one of `thew.search.agents.AGENTS`.
        episodes: assignments that the agent may try.
        threads: workers, where `model` is no trainer.
        seed: of everything random.
        batch_size: samples of a step.
        input_shape: of one sample, where `model` is a module.
        settings: of the agent.
        baselines: agents that play beside it, for comparison.
        seeds: of the regrets.
        budget_seconds: for measurements; what is over is estimated.
        cache: file of measurements; by default that of all searches.
        progress: called with what is done.

    Raises:
        InputError: an argument is not one of those above.
        UnsupportedError: the step has nodes without a kernel.
    """
    contest = Contest(agent, settings or {}, tuple(baselines), episodes)
    contest.players()
    trainer = _trainer(model, input_shape, threads, seed)
    usual = trainer.plan_step(batch_size)
    if usual.executable.single is None:
        raise UnsupportedError("search: every node of the step must have a kernel, got some without; see explain()")
    own = usual.executable.settings
    types = {value.name: value.type for value in usual.step.graph.inputs}
    graph = own.prepare(usual.step.graph, types)
    environment = Environment(usual.step.graph, graph, own.target, options=own.options)
    with closing(measurements(cache)) as kept:
        environment.survey(kept, budget_seconds, lambda *at: progress("measuring", *at))
    table = environment.table()
    contest.hold(table, Objective({LATENCY: 1.0}), lambda one: lambda chosen: 0.0, seed, progress)
    planned = {DEFAULT: usual}
    for name, chosen in contest.finalists.items():
        try:
            planned[name] = trainer.plan_step(batch_size, environment.choices(chosen))
        except PlanError:  # a kernel refuses its part
            continue
    with trainer.undisturbed():
        runs = {name: _run_of(one, seed) for name, one in planned.items()}
        seconds = _relative(runs, lambda number: progress("timing", number, _ROUNDS))
        best, ratio = _confirmed(runs, seconds)
    plan = planned[best].executable.plans[0]
    trainer.follow(plan)
    return StepResult(
        plan,
        seconds,
        best,
        ratio,
        {name: tuple(map(float, one.curve)) for name, one in contest.found.items()},
        contest.regrets(table, range(seed, seed + seeds), progress),
        table.total(table.optimum()),
        layers_of(environment, table, contest.finalists.get(best), plan),
        {
            "objective": STEP_TIME,
            "agent": agent,
            "episodes": episodes,
            "threads": own.target.threads,
            "batch_size": batch_size,
            "precision": trainer.precision,
            "seed": seed,
            "device": device_key(),
            "space": float(table.size),
        },
    )


def _trainer(model: Any, input_shape: Sequence[int] | None, threads: int, seed: int) -> Trainer:
    if isinstance(model, Trainer):
        return model
    if isinstance(model, Module):
        return Trainer(model, input_shape=input_shape, threads=threads, seed=seed)
    graph = read(model)
    shape = input_shape or tuple(graph.inputs[0].type.shape or ())[1:]
    if not all(isinstance(extent, int) for extent in shape):
        raise InputError(f"input_shape: must be given where the model leaves it open, got {shape}")
    return Trainer(graph, input_shape=tuple(map(int, shape)), threads=threads, seed=seed)


def _run_of(prepared: Prepared, seed: int) -> Callable[[], object]:
    """A step on samples by chance."""
    random, feeds = np.random.default_rng(seed), []
    stage = prepared.executable.single
    assert stage is not None
    known = {value.name: value.type for value in stage.plan.inputs}
    numbers = iter(prepared.numbers)
    for name in stage.inputs:
        if name in prepared.names[: len(prepared.names) - len(prepared.numbers)]:
            shape, dtype = known[name].static_shape, to_numpy(known[name].dtype)
            drawn = random.integers(0, 2, shape) if np.dtype(dtype).kind in "iu" else random.standard_normal(shape)
            feeds.append(drawn.astype(dtype))
        else:
            feeds.append(next(numbers))
    return lambda: stage.call(feeds)


def _relative(runs: Mapping[str, Callable[[], object]], tick: Callable[[int], None]) -> dict[str, float]:
    """Medians over rounds of the ratio to the default in the same round, in its seconds."""
    found = {name: np.asarray(values) for name, values in times_in_turn(runs, tick, _ROUNDS).items()}
    base = found[DEFAULT]
    return {name: float(np.median(values / base) * np.median(base)) for name, values in found.items()}


def _confirmed(runs: Mapping[str, Callable[[], object]], seconds: Mapping[str, float]) -> tuple[str, float]:
    """The fastest that is faster than the default in rounds of their own, and its share of the default's time."""
    for name in sorted(seconds, key=seconds.__getitem__):
        if name == DEFAULT:
            break
        again = _relative({DEFAULT: runs[DEFAULT], name: runs[name]}, lambda number: None)
        if again[name] < again[DEFAULT]:
            return name, again[name] / again[DEFAULT]
    return DEFAULT, 1.0
