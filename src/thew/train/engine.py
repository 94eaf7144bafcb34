"""`Engine`: the planned graphs of a trainer, one for each shape of batch, and all arrays that outlive a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thew.dtypes import from_numpy, to_numpy
from thew.errors import MemoryLimitError
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
from thew.nn import Module
from thew.optim import Optimizer
from thew.passes.lower_training import OFFSET, SEED
from thew.plan import Choices, Plan, fingerprint
from thew.runtime.executable import Executable, Settings, States
from thew.runtime.lru import Recent
from thew.train.budget import Measure, fitted, measures
from thew.train.parallel import Group
from thew.train.precision import Precision
from thew.train.step import (
    HYPER,
    INPUT,
    LIMIT,
    NUMBERS,
    SCALE,
    SCALING,
    TARGET,
    Loss,
    StepGraph,
    build_evaluation,
    build_step,
)

# Shapes of samples and targets, the targets' dtype, training; without targets there is nothing of the second and third.
Key = tuple[tuple[int, ...], tuple[int, ...] | None, str, bool]


@dataclass(frozen=True)
class Prepared:
    """A planned graph: its inputs beside the batch, and where its results stand."""

    step: StepGraph
    executable: Executable
    names: tuple[str, ...]
    numbers: tuple[Array, ...]
    positions: tuple[int, ...]  # of loss, prediction and, where they are checked, the gradients' sums of squares
    state_bytes: int  # of parameters, statistics and what the optimiser keeps
    measure: Measure | None = None  # what was done to fit into the budget

    @property
    def arena_bytes(self) -> int:
        """Of the values that its nodes make."""
        return sum(plan.arena_bytes for plan in self.executable.plans)

    @property
    def needed_bytes(self) -> int:
        """Arena and scratch of the plan, with parameters and states."""
        return self.executable.peak_memory_bytes + self.state_bytes


class Engine:
    """Plans and runs steps and evaluations."""

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        precision: Precision,
        settings: Settings,
        seed: int,
        budget_bytes: int | None = None,
        group: Group | None = None,
    ) -> None:
        self.group = Group() if group is None else group
        settings = replace(settings, calls=self.group.calls)
        self.model, self.loss, self.optimizer, self.precision = model, loss, optimizer, precision
        self.settings, self.budget_bytes = settings, budget_bytes
        self.states: dict[str, Array] = {}  # of the optimiser and the loss scale, by name
        limit = np.inf if optimizer.clip_norm is None else optimizer.clip_norm
        self.numbers: Mapping[str, Array] = {
            HYPER: optimizer.hyper(),
            LIMIT: np.array([limit], np.float64),
            SCALING: precision.scaling.hyper(),
            SEED: np.array([self.group.seed(seed)], np.int64),
            OFFSET: np.zeros(1, np.int64),
        }
        adopt(model, to_numpy(precision.wide))
        self.synchronise()
        if budget_bytes is not None:  # one plan at a time: each has an arena of its own
            self.settings = replace(settings, kept_shapes=1)
        self._prepared: Recent[Key, Prepared] = Recent(self.settings.kept_shapes)
        self._most_samples: dict[tuple[tuple[int, ...], bool], int] = {}  # of an evaluation, where fewer than asked fit
        self._evaluates_by: Measure | None = None  # what is done for that beside
        self._followed: dict[str, Plan] = {}  # by the fingerprint of the graph that it is for

    def follow(self, plan: Plan) -> None:
        """Runs steps that a plan was made for as it says."""
        self._followed[plan.fingerprint] = plan
        self._prepared = Recent(self.settings.kept_shapes)

    def replanned(self, prepared: Prepared, choices: Choices) -> Prepared:
        """A planned step once more, with nodes run as given."""
        return self._made(prepared.step, prepared.measure, choices=choices)

    def synchronise(self) -> None:
        """Gives every process the first one's parameters and states."""
        own = dict(sorted({**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}.items()))
        self.group.broadcast([*own.values(), *(self.states[name] for name in sorted(self.states))])

    def run(self, x: Array, y: Array) -> list[Any]:
        """One step: loss, prediction and, where gradients are checked, their sums of squares."""
        key = (x.shape, y.shape, y.dtype.char, True)
        prepared = self._prepared.get(key, lambda: self._plan(_type_of(x), _type_of(y), True))
        return self._results(prepared, [x, y, *prepared.numbers])

    def evaluate(self, x: Array, y: Array | None = None) -> list[Any]:
        """Loss, where there are targets, and prediction, as the model stands: in parts where the budget asks for it."""
        most = self._samples_within_budget(x, y)
        if most >= len(x):
            return self._evaluated(x, y)
        parts = [(x[i : i + most], None if y is None else y[i : i + most]) for i in range(0, len(x), most)]
        found = [self._evaluated(*part) for part in parts]
        prediction = np.concatenate([part[-1] for part in found])
        if y is None:
            return [prediction]
        adds_up = getattr(self.loss, "reduction", "mean") == "sum"
        shares = (1.0 if adds_up else len(part[0]) / len(x) for part in parts)
        return [sum(share * result[0] for share, result in zip(shares, found, strict=True)), prediction]

    def _evaluation(self, x: Array, y: Array | None) -> Prepared:
        key: Key = (x.shape, None, "", False) if y is None else (x.shape, y.shape, y.dtype.char, False)
        return self._prepared.get(key, lambda: self._plan(_type_of(x), None if y is None else _type_of(y), False))

    def _evaluated(self, x: Array, y: Array | None) -> list[Any]:
        prepared = self._evaluation(x, y)
        return self._results(prepared, [x] if y is None else [x, y, *prepared.numbers])

    def _samples_within_budget(self, x: Array, y: Array | None) -> int:
        """How many of the samples are evaluated at a time: half as many as long as their plan takes too much."""
        if self.budget_bytes is None or not len(x):
            return len(x)
        key = (x.shape[1:], y is None)
        count = asked = min(len(x), self._most_samples.get(key, len(x)))
        while (
            needed := self._evaluation(x[:count], None if y is None else y[:count]).needed_bytes
        ) > self.budget_bytes:
            if count > 1:
                count = self._most_samples[key] = -(-count // 2)
            elif self._evaluates_by is None:  # its scratch does not shrink with the samples
                count, self._evaluates_by = asked, Measure(winograd=False)
                self._prepared.clear()
            else:
                raise MemoryLimitError(
                    f"Trainer: memory_budget_bytes must be at least {needed} to evaluate one sample, got "
                    f"{self.budget_bytes}; use a smaller network"
                )
        return count

    def prepare(self, x: TensorType, y: TensorType, training: bool) -> Prepared:
        """Plans for batches of these types, unless that is done."""
        key = (x.static_shape, y.static_shape, to_numpy(y.dtype).char, training)
        return self._prepared.get(key, lambda: self._plan(x, y, training))

    def prediction_type(self, x: TensorType) -> TensorType:
        """Of what the model gives for a batch."""
        step = build_evaluation(self.model, self.loss, x, None, self.precision, self.settings)
        found = step.graph.type_of(step.prediction)
        assert found is not None
        return found

    def last(self) -> Prepared | None:
        """What ran last."""
        return self._prepared.last()

    def forget(self) -> None:
        """Drops all plans: the model's arrays or frozen layers are others now."""
        adopt(self.model, to_numpy(self.precision.wide))
        self._prepared = Recent(self.settings.kept_shapes)
        self._most_samples = {}

    @property
    def scale(self) -> Array | None:
        """The loss scale's state: scale, clean steps, skipped steps."""
        return self.states.get(SCALE)

    def _results(self, prepared: Prepared, feeds: list[Array]) -> list[Any]:
        single = prepared.executable.single
        if single is not None:
            results: list[Any] = single.call(feeds)
        else:
            results = list(prepared.executable.run(dict(zip(prepared.names, feeds, strict=True))).values())
        return [results[position] for position in prepared.positions]

    def _plan(self, x: TensorType, y: TensorType | None, training: bool) -> Prepared:
        if self.budget_bytes is not None:
            self._prepared.clear()
        if not training or y is None:
            step = build_evaluation(self.model, self.loss, x, y, self.precision, self.settings)
            return self._made(step, self._evaluates_by)
        if self.budget_bytes is not None:
            return fitted(*self._ways(x, y), self.budget_bytes)
        prepared = self._made(self.step(x, y))
        if self.group.exchange is not None and len(prepared.executable.stages) > 1:
            prepared = self._made(self.step(x, y, overlaps=False))
        return prepared

    def step(self, x: TensorType, y: TensorType, parts: int = 1, overlaps: bool = True) -> StepGraph:
        """The graph of a step. Sums over processes may overlap with nothing where it is several plans, between which
        what lies in an arena moves.
        """
        how = self.group.exchange and replace(self.group.exchange, overlaps=overlaps)
        model, settings = self.model, self.settings
        return build_step(model, self.loss, self.optimizer, x, y, self.precision, settings, parts, how)

    def _ways(self, x: TensorType, y: TensorType) -> tuple[_Ways, Iterator[Measure]]:
        ways = _Ways(self, x, y)
        has_batch_norm = any(node.op == "batch_norm_training" for node in ways.step(1).graph.nodes)
        return ways, measures(x.static_shape[0], has_batch_norm, may_narrow=not self.precision.half)

    def _made(
        self,
        step: StepGraph,
        measure: Measure | None = None,
        graph: Graph | None = None,
        choices: Choices | None = None,
    ) -> Prepared:
        """A graph planned: the step's, or what became of it."""
        settings = self.settings
        if measure is not None and not measure.winograd:
            settings = replace(settings, options=replace(settings.options, winograd=False))
        for name, first in step.fresh.items():
            self.states.setdefault(name, aligned(first, first.dtype))
        arrays = {**step.own, **{name: self.states[name] for name in step.fresh}}
        types = {value.name: value.type for value in step.graph.inputs}
        successors = {name: after for name, after in step.successors.items() if after}
        if choices is None and self._followed:
            plan = self._followed.get(fingerprint(settings.prepare(graph or step.graph, types)))
            choices = None if plan is None else plan.choices
        settings = replace(settings, choices=dict(choices or {}))
        executable = Executable(graph or step.graph, types, settings, states=States(arrays, successors))
        names = tuple(name for name in types if name in (INPUT, TARGET, *NUMBERS))
        results = executable.results
        wanted = filter(None, (step.loss, step.prediction, step.squares))
        numbers = tuple(self.numbers[name] for name in names if name in self.numbers)
        positions = tuple(results.index(name) for name in wanted)
        state_bytes = sum(array.nbytes for array in (*step.own.values(), *self.states.values()))
        return Prepared(step, executable, names, numbers, positions, state_bytes, measure)


class _Ways:
    """Steps on one type of batch, in the ways that a budget asks for."""

    def __init__(self, engine: Engine, x: TensorType, y: TensorType) -> None:
        self._engine, self._x, self._y = engine, x, y
        self._steps: dict[int, StepGraph] = {}

    def step(self, parts: int) -> StepGraph:
        """The step, with the batch in so many parts."""
        if parts not in self._steps:
            self._steps[parts] = self._engine.step(self._x, self._y, parts, overlaps=False)
        return self._steps[parts]

    def graph(self, parts: int) -> Graph:
        """The step's graph as it will be planned."""
        graph = self.step(parts).graph
        return self._engine.settings.prepare(graph, {value.name: value.type for value in graph.inputs})

    def plan(self, measure: Measure | None, graph: Graph | None = None) -> Prepared:
        """The planned step."""
        return self._engine._made(self.step(measure.parts if measure else 1), measure, graph)


def _type_of(array: Array) -> TensorType:
    return TensorType(from_numpy(array.dtype), array.shape)


ALIGNMENT = 64  # bytes: a cache line, which no vector of a parameter then straddles


def aligned(array: Array, dtype: Any) -> Array:
    """The array itself where it is one that a step can update in place, else a copy that is: of a dtype, in C order,
    beginning with a cache line, in memory that nobody else has.
    """
    base = array.base
    alone = array.flags.owndata or (isinstance(base, np.ndarray) and base.dtype == np.uint8 and base.flags.owndata)
    fits = array.dtype == dtype and array.flags.c_contiguous and array.flags.writeable
    if alone and fits and array.ctypes.data % ALIGNMENT == 0:
        return array
    size = array.size * np.dtype(dtype).itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    first = -room.ctypes.data % ALIGNMENT
    copy: Array = room[first : first + size].view(dtype).reshape(array.shape)
    copy[...] = array
    return copy


def adopt(model: Module, dtype: Any) -> None:
    """Makes every floating-point array of a model one that a step can update in place (`aligned`)."""
    made: dict[int, Array] = {}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, array in table.items():
                if array is not None and array.dtype.kind == "f":
                    if id(array) not in made:
                        made[id(array)] = aligned(array, dtype)
                    table[name] = made[id(array)]
