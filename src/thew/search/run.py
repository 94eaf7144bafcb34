"""`search`: a model, a device and a goal in; a plan out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from thew.compress.accuracy import Accuracy, Data, keeps_accuracy, right_answers
from thew.errors import InputError, UnsupportedError
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
from thew.passes import pipeline
from thew.plan import Plan, build_plan
from thew.runtime.cache import Cache, default_path
from thew.runtime.device import device_key, target
from thew.runtime.executable import prepare_graph
from thew.runtime.session import InferenceSession
from thew.search.agents import Found, make_agent, play
from thew.search.environment import Environment
from thew.search.game import Assignment, Table
from thew.search.measure import kernels_version
from thew.search.objective import LATENCY, Goal, check_objective
from thew.search.pareto import non_dominated
from thew.search.result import Layer, Point, Result

BASELINES = ("random", "greedy", "exact")
_FINALISTS = 4  # timed as whole networks, beside the default plan
_ROUNDS = 9
Progress = Callable[[str, int, int], None]


def search(
    model: str | os.PathLike[str] | bytes | Graph,
    data: tuple[Any, Any] | None = None,
    objective: str = LATENCY,
    max_accuracy_drop: float | None = None,
    max_memory_bytes: int | None = None,
    agent: str = "q-learning",
    episodes: int = 1000,
    threads: int = 1,
    seed: int = 0,
    *,
    settings: Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    baselines: Sequence[str] = BASELINES,
    budget_seconds: float = 300.0,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Result:
    """Finds how a model runs best on this machine.

    Every way to run every layer and every conversion between layouts is measured (once: measurements are kept), an
    agent plays on the table that results, and the best plans are timed as whole networks beside the default one.
    Reinforcement learning over primitives: de Prado, Pazos and Benini, "Learning to infer", DATE 2019.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        data: samples x along the first axis and integer classes y, to measure accuracy on; None for no accuracy.
        objective: "latency", "memory" (arena and weights) or "size" (weights).
        max_accuracy_drop: how much of the accuracy of the model as it is may be lost, as a share; needs `data`.
        max_memory_bytes: bound of arena and weights.
        agent: one of `thew.search.agents.AGENTS`.
        episodes: assignments that the agent may try.
        threads: workers that the plan uses.
        seed: of everything random.
        settings: of the agent, such as ``{"learning_rate": 0.1}``.
        input_shapes: extents for inputs with symbolic ones; by default those of one sample of `data`, or 1.
        baselines: agents that play beside it with as many episodes, for the report.
        budget_seconds: for measurements; what is over is estimated.
        cache: file of measurements; by default one in the user's cache folder, or under ``THEW_CACHE``.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The result; `result.plan.save(path)` keeps the plan for ``InferenceSession(model, plan=path)``.

    Raises:
        InputError: an argument is not one of those above.
        UnsupportedError: no plan keeps all bounds, or a node has no kernel.
    """
    check_objective(objective)
    if max_accuracy_drop is not None and (data is None or not 0 <= max_accuracy_drop <= 1):
        raise InputError(
            f"max_accuracy_drop: must be from 0 to 1 and come with data, got {max_accuracy_drop!r}; give data=(x, y)"
        )
    player = make_agent(agent, **(settings or {}))
    samples = None if data is None else Data(np.asarray(data[0]), np.asarray(data[1]))
    source = _read(model)
    environment = environment_of(
        source, threads, samples, input_shapes, cache, budget_seconds, lambda *at: progress("measuring", *at)
    )
    bounds = _Bounds(objective, max_accuracy_drop, max_memory_bytes)
    trial = _Trial(source, samples, {value.name: value.type for value in environment.graph.inputs}, threads)
    table = environment.table()
    found: dict[str, Found] = {}
    for position, name in enumerate(dict.fromkeys((agent, *baselines))):
        progress("playing", position, len(baselines) + 1)
        table.extra = bounds.goal(environment, table, trial)
        found[name] = play(player if name == agent else make_agent(name), table, episodes, seed)
    finalists = _finalists(found)
    plans = {"default": build_plan(environment.graph, target(threads))}
    plans.update({name: plan for name, chosen in finalists.items() if (plan := environment.plan(chosen)) is not None})
    points = trial.points(plans, {name: table.total(chosen) for name, chosen in finalists.items()}, progress)
    winner = bounds.best(plans, points, trial, episodes)
    listed = list(points.values())
    front = non_dominated(
        [(p.seconds, p.peak_memory_bytes, -(p.accuracy.share if p.accuracy else 0.0)) for p in listed]
    )
    return Result(
        plan=plans[winner],
        best=points[winner],
        default=points["default"],
        pareto=tuple(listed[index] for index in front),
        history={name: tuple(map(float, one.curve)) for name, one in found.items()},
        optimum_seconds=table.total(table.optimum()),
        layers=_layers(environment, plans[winner]),
        settings={
            "objective": objective,
            "max_accuracy_drop": max_accuracy_drop,
            "max_memory_bytes": max_memory_bytes,
            "agent": agent,
            "episodes": episodes,
            "threads": threads,
            "seed": seed,
            "device": device_key(),
            "space": float(table.size),
        },
    )


def environment_of(
    model: str | os.PathLike[str] | bytes | Graph,
    threads: int = 1,
    samples: Data | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    cache: str | os.PathLike[str] | None = None,
    budget_seconds: float = 300.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Environment:
    """A model's space of plans on this machine, measured; the arguments are those of `search`."""
    loaded = pipeline.run(_read(model), pipeline.LOAD)
    graph = prepare_graph(loaded, _types(loaded, samples, input_shapes or {}))
    environment = Environment(graph, target(threads))
    kept = Cache(device_key(), kernels_version(), Path(cache) if cache is not None else default_path())
    try:
        environment.survey(kept, budget_seconds, progress)
    finally:
        kept.close()
    return environment


@dataclass(frozen=True)
class _Bounds:
    """What is to be least, and what a plan must keep."""

    objective: str
    max_accuracy_drop: float | None
    max_memory_bytes: int | None

    def goal(self, environment: Environment, table: Table, trial: _Trial) -> Goal:
        """The value of assignments under these bounds."""
        drop = self.max_accuracy_drop
        accepts = None if drop is None else lambda _, plan: trial.keeps(plan, drop)
        return Goal(environment, table, self.objective, self.max_memory_bytes, accepts)

    def best(self, plans: Mapping[str, Plan], points: Mapping[str, Point], trial: _Trial, episodes: int) -> str:
        """The name of the best plan. Raises UnsupportedError where none keeps the bounds."""
        allowed = [
            name
            for name, plan in plans.items()
            if (self.max_memory_bytes is None or plan.peak_memory_bytes <= self.max_memory_bytes)
            and (self.max_accuracy_drop is None or trial.keeps(plan, self.max_accuracy_drop))
        ]
        if not allowed:
            raise UnsupportedError(
                f"search: a plan must keep max_memory_bytes = {self.max_memory_bytes} and max_accuracy_drop = "
                f"{self.max_accuracy_drop}, got none in {episodes} episodes; loosen a bound or play more"
            )
        measure = {LATENCY: "seconds", "memory": "peak_memory_bytes", "size": "weight_bytes"}[self.objective]
        return min(allowed, key=lambda name: (getattr(points[name], measure), points[name].seconds))


def _read(model: str | os.PathLike[str] | bytes | Graph) -> Graph:
    if isinstance(model, Graph):
        return model
    from thew.onnx import read

    return read(model)


def _types(graph: Graph, samples: Data | None, shapes: Mapping[str, Sequence[int]]) -> dict[str, TensorType]:
    """Static types of the inputs: as given, as in the data, else 1 for what is symbolic."""
    types = {}
    for value in graph.inputs:
        shape = shapes.get(value.name)
        if shape is None and samples is not None and len(graph.inputs) == 1:
            declared = value.type.shape or ()
            first = declared[0] if declared and isinstance(declared[0], int) else 1
            shape = (first, *samples.x.shape[1:])
        if shape is None:
            shape = tuple(extent if isinstance(extent, int) else 1 for extent in value.type.shape or ())
        types[value.name] = TensorType(value.type.dtype, tuple(map(int, shape)))
    return types


class _Trial:
    """Plans tried as whole networks: their accuracy, each asked once, and their times, taken in turn."""

    def __init__(self, graph: Graph, data: Data | None, types: Mapping[str, TensorType], threads: int) -> None:
        self.graph, self.data, self.types, self.threads = graph, data, types, threads
        self._reference: np.ndarray | None = None
        self._kept: dict[str, tuple[bool, Accuracy]] = {}

    def _session(self, plan: Plan | None) -> Callable[[Array], Array]:
        session = InferenceSession(self.graph, threads=self.threads, plan=plan)
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]

    @property
    def batch(self) -> int:
        """Samples that the plan takes at a time."""
        return next(iter(self.types.values())).static_shape[0]

    def keeps(self, plan: Plan, most_drop: float) -> bool:
        """Whether a plan's accuracy stays within the bound."""
        return self._asked(plan, most_drop)[0]

    def _asked(self, plan: Plan, most_drop: float) -> tuple[bool, Accuracy]:
        assert self.data is not None
        key = repr(sorted(plan.choices.items()))
        if key not in self._kept:
            if self._reference is None:
                self._reference = right_answers(self._session(None), self.data, self.batch)
            run = self._session(plan)
            self._kept[key] = keeps_accuracy(run, self.data, self.batch, self._reference, most_drop)
        return self._kept[key]

    def points(self, plans: Mapping[str, Plan], estimates: Mapping[str, float], progress: Progress) -> dict[str, Point]:
        """Times all plans in turn, and asks for their accuracy."""
        inputs = {
            name: np.random.default_rng(0).standard_normal(known.static_shape).astype(np.float32)
            for name, known in self.types.items()
        }
        sessions = {name: InferenceSession(self.graph, threads=self.threads, plan=plan) for name, plan in plans.items()}
        for session in sessions.values():
            session.run(None, inputs)
        samples: dict[str, list[float]] = {name: [] for name in plans}
        for number in range(_ROUNDS):
            progress("timing", number, _ROUNDS)
            for name, session in sessions.items():
                started = perf_counter()
                session.run(None, inputs)
                samples[name].append(perf_counter() - started)
        return {
            name: Point(
                name,
                float(np.median(samples[name])),
                estimates.get(name),
                plan.peak_memory_bytes,
                plan.packed_bytes + plan.constant_bytes,
                None if self.data is None else self._asked(plan, 1.0)[1],
            )
            for name, plan in plans.items()
        }


def _finalists(found: Mapping[str, Found]) -> dict[str, Assignment]:
    """The best assignment of each agent, without repetitions, best first."""
    finalists: dict[str, Assignment] = {}
    for name, one in sorted(found.items(), key=lambda item: item[1].value):
        if np.isfinite(one.value) and one.best not in finalists.values() and len(finalists) < _FINALISTS:
            finalists[name] = one.best
    return finalists


def _layers(environment: Environment, plan: Plan) -> tuple[Layer, ...]:
    layers = []
    for node in environment.graph.nodes:
        key = next(name for name in node.outputs if name)
        ways = environment.alternatives[key]
        chosen = plan.choices[key]
        known = environment.graph.type_of(key)
        shape = known.static_shape if known is not None and known.is_static else ()
        times = sorted(((str(way.choice), way.cost.seconds) for way in ways), key=lambda pair: pair[1])
        own = min((way.cost.seconds for way in ways if way.choice == chosen), default=0.0)
        others = tuple(pair for pair in times if pair[0] != str(chosen))
        layers.append(Layer(key, node.op, shape, str(chosen), own, others))
    return tuple(layers)
