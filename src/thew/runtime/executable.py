"""A graph made ready for given input shapes: native segments (each one plan, one call) and, where no kernel exists,
Python steps.

What depends on data is planned when the data are there: the rest of the graph behind a value of unknown shape is
*deferred*, and prepared once for each set of shapes that turns up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Protocol

import numpy as np

from thew.dtypes import from_numpy, size_bytes, to_numpy
from thew.errors import MemoryLimitError, PlanError, UnsupportedError
from thew.ir import Graph, Node, TensorType, Value
from thew.ir.graph import Array
from thew.ops.interpret import apply
from thew.passes import pipeline
from thew.passes.specialise import specialise
from thew.plan import (
    ALL_TECHNIQUES,
    Choices,
    NoKernel,
    Plan,
    PlanOptions,
    Target,
    build_plan,
    check_choices,
    key_of,
    overwritten,
    plan_within,
)
from thew.plan.lower import VIEWS
from thew.runtime.lru import Recent
from thew.runtime.native import Code, Program, buffer_of
from thew.runtime.segments import OPAQUE, segments, subgraph


@dataclass(frozen=True)
class Settings:
    """What every plan of a session shares."""

    target: Target
    cpus: tuple[int, ...] = ()
    memory_limit_bytes: int | None = None
    options: PlanOptions = ALL_TECHNIQUES
    choices: Choices = field(default_factory=dict)  # how given nodes must be run
    precision: str = "fp32"  # "fp16" and "bf16" reduce what is fp32, but for the nodes of `kept_fp32`
    kept_fp32: tuple[str, ...] = ()
    kept_shapes: int = 8  # plans kept for different input shapes
    calls: Mapping[str, Code] = field(default_factory=dict)  # what steps that are calls run, by op
    expendable: bool = False  # nobody reads the graph's weights once they are packed

    def prepare(self, graph: Graph, types: Mapping[str, TensorType]) -> Graph:
        """The graph that is planned under these settings."""
        return prepare_graph(graph, types, self.options, self.precision, self.kept_fp32)


class Stage(Protocol):
    """A part of an executable: reads and adds to the values known so far."""

    def run(self, values: dict[str, Any]) -> None:
        """Computes this stage's outputs."""


@dataclass(frozen=True)
class States:
    """Graph inputs that outlive a run, and the outputs that are their next values.

    Attributes:
        arrays: by the input's name; a run reads them and writes the next values over them.
        successors: the output that is an input's next value; an input without one is only read.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)
    successors: Mapping[str, str] = field(default_factory=dict)


@dataclass
class NativeStage:
    """A segment that is one plan."""

    plan: Plan
    program: Program
    inputs: tuple[str, ...] = field(init=False)
    outputs: tuple[str, ...] = field(init=False)
    results: tuple[tuple[tuple[int, ...], Any], ...] = field(init=False)  # shape and NumPy dtype of each output

    def __post_init__(self) -> None:
        self.inputs = tuple(value.name for value in self.plan.inputs)
        self.outputs = tuple(value.name for value in self.plan.outputs)
        self.results = tuple((value.type.static_shape, to_numpy(value.type.dtype)) for value in self.plan.outputs)

    @property
    def peak_memory_bytes(self) -> int:
        """Planned bytes: arena with scratch, packed weights, constants."""
        return self.plan.peak_memory_bytes

    def call(self, arrays: list[Array]) -> list[Array]:
        """Outputs for inputs that are C-contiguous and of the planned shapes and dtypes."""
        outputs = [np.empty(shape, dtype) for shape, dtype in self.results]
        self.program.run((*arrays, *outputs), len(arrays))
        return outputs

    def run(self, values: dict[str, Any], call: Callable[[tuple[Array, ...], int], Any] | None = None) -> None:
        """Computes the segment's outputs; `call` runs the program where that is to be watched."""
        arrays = [buffer_of(np.ascontiguousarray(values[name])).reshape(np.shape(values[name])) for name in self.inputs]
        outputs = [np.empty(shape, dtype) for shape, dtype in self.results]
        (call or self.program.run)((*arrays, *map(buffer_of, outputs)), len(arrays))
        values.update(zip(self.outputs, outputs, strict=True))
        updated = (state for state in self.plan.states if state.successor)
        values.update((state.successor, self.program.states[state.name]) for state in updated)


@dataclass
class PythonStage:
    """One node without a native kernel, run by its op's NumPy reference."""

    node: Node
    reason: str

    def run(self, values: dict[str, Any]) -> None:
        """Computes the node's outputs."""
        with np.errstate(all="ignore"):
            results = apply(self.node, [values[name] if name else None for name in self.node.inputs])
        values.update((name, result) for name, result in zip(self.node.outputs, results, strict=False) if name)


@dataclass
class DeferredStage:
    """The part of a graph whose shapes are known only once the values before it are. Its plans choose by themselves."""

    graph: Graph
    settings: Settings
    prepared: Recent[tuple[TensorType, ...], Executable] = field(init=False)

    def __post_init__(self) -> None:
        self.prepared = Recent(self.settings.kept_shapes)

    def run(self, values: dict[str, Any]) -> None:
        """Prepares the rest for the shapes at hand, and runs it."""
        values.update(self.executable(values).run(values))

    def executable(self, values: Mapping[str, Any]) -> Executable:
        """The rest, prepared for the shapes at hand."""
        types = {value.name: type_of_value(values[value.name]) for value in self.graph.inputs}
        return self.prepared.get(tuple(types.values()), lambda: self._prepare(types))

    def _prepare(self, types: Mapping[str, TensorType]) -> Executable:
        inputs = tuple(Value(name, found) for name, found in types.items())
        return Executable(self.graph.replace(inputs=inputs), types, replace(self.settings, choices={}))


class Executable:
    """A graph specialised for input types, as stages in order."""

    def __init__(
        self,
        graph: Graph,
        types: Mapping[str, TensorType],
        settings: Settings,
        plan: Plan | None = None,
        states: States | None = None,
    ) -> None:
        self.settings = settings
        self.states = states or States()
        self.graph = settings.prepare(graph, types)
        check_choices(settings.choices, frozenset(map(key_of, self.graph.nodes)))
        if settings.memory_limit_bytes is not None:
            _check_sizes(self.graph, settings.memory_limit_bytes)
        self.stages: list[Stage] = []
        self._constants = {
            name: self.graph.constants[name] for name in self.graph.outputs if name in self.graph.constants
        }
        if plan is not None:
            self.stages.append(self._native(self.graph, plan))
        else:
            self._make_stages()
        self.single = self._single_native_stage()
        self._forget_weights()

    @property
    def plans(self) -> list[Plan]:
        """The plans of the native stages."""
        return [stage.plan for stage in self.stages if isinstance(stage, NativeStage)]

    @property
    def peak_memory_bytes(self) -> int:
        """Planned bytes of all native stages: arenas, scratch, packed weights, constants."""
        return sum(stage.peak_memory_bytes for stage in self.stages if isinstance(stage, NativeStage))

    def run(
        self, feeds: Mapping[str, Any], run_stage: Callable[[Stage, dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Outputs by name; `run_stage` runs each stage where that is to be watched."""
        states = self.states.arrays
        values = {value.name: feeds[value.name] for value in self.graph.inputs if value.name not in states}
        values.update(states)
        for stage in self.stages:
            if not isinstance(stage, NativeStage):
                for name in _constants_read(self.graph, stage):
                    values[name] = self.graph.constants[name]
            if run_stage is None:
                stage.run(values)
            else:
                run_stage(stage, values)
        values.update((name, array.copy()) for name, array in self._constants.items())
        for name, after in self.states.successors.items():
            if values[after] is not states[name]:
                np.copyto(states[name], values[after])
        return {name: values[name] for name in self.results}

    @property
    def results(self) -> tuple[str, ...]:
        """The graph's outputs that are no next values of states."""
        afterwards = set(self.states.successors.values())
        return tuple(name for name in self.graph.outputs if name not in afterwards)

    def _single_native_stage(self) -> NativeStage | None:
        """The only stage, where it takes the graph's inputs and gives its outputs as they are: the quick path."""
        if len(self.stages) != 1 or not isinstance(self.stages[0], NativeStage):
            return None
        stage = self.stages[0]
        inputs = tuple(value.name for value in self.graph.inputs if value.name not in self.states.arrays)
        same = stage.inputs == inputs and stage.outputs == self.results
        plain = all(value.type.dtype != "bf16" for value in (*stage.plan.inputs, *stage.plan.outputs))
        return stage if same and plain else None

    def _forget_weights(self) -> None:
        """Native stages hold what they need of the constants, mostly packed; only Python's share is kept here."""
        later = (stage for stage in self.stages if not isinstance(stage, NativeStage))
        kept = {name: self.graph.constants[name] for stage in later for name in _constants_read(self.graph, stage)}
        outputs = {name: known for name in self.graph.outputs if (known := self.graph.type_of(name)) is not None}
        self.graph = self.graph.replace(constants=kept, types={**self.graph.types, **outputs})

    # Making the stages

    def _make_stages(self) -> None:
        """Tries the largest native segments; a node that turns out to have no kernel becomes a Python step."""
        refused: dict[int, str] = {}
        while True:
            self.stages = []
            try:
                for nodes, kind in segments(self.graph, self.settings.target, refused):
                    self._append(nodes, kind, refused)
                return
            except NoKernel as error:
                position = next(
                    i
                    for i, node in enumerate(self.graph.nodes)
                    if node is error.node or node.outputs == error.node.outputs
                )
                refused[position] = str(error)

    def _append(self, nodes: list[Node], kind: str, refused: Mapping[int, str]) -> None:
        if kind == "native":
            segment = subgraph(self.graph, nodes)
            settings, keys = self.settings, set(map(key_of, nodes))
            choices = {key: choice for key, choice in settings.choices.items() if key in keys}
            limit, states = settings.memory_limit_bytes, self._states_of(segment)

            def build(target: Target) -> Plan:
                return build_plan(segment, target, settings.options, choices, states)

            plan = plan_within(build, settings.target, limit)
            plan = replace(plan, precision=settings.precision, kept=settings.kept_fp32)
            if limit is not None and plan.peak_memory_bytes > limit:
                raise MemoryLimitError(
                    f"graph '{self.graph.name}': memory must be at most {limit} bytes, the plan needs "
                    f"{plan.peak_memory_bytes}; raise memory_limit_bytes or use smaller inputs"
                )
            self.stages.append(self._native(segment, plan))
        elif kind == "python":
            for node in nodes:
                if (choice := self.settings.choices.get(key_of(node))) is not None:
                    raise PlanError(f"{node}: must have a kernel to be given a choice, got {choice}; leave it out")
                reason = next((why for i, why in refused.items() if self.graph.nodes[i] is node), "no candidate holds")
                self.stages.append(PythonStage(node, reason))
        else:
            self.stages.append(DeferredStage(subgraph(self.graph, nodes), self.settings))

    def _states_of(self, segment: Graph) -> dict[str, str]:
        """The states that a segment reads, with the next values that it may write in their place: no other segment
        reads the old ones later.
        """
        allowed = overwritten(self.graph, self.states.successors, VIEWS)
        names = (value.name for value in segment.inputs if value.name in self.states.arrays)
        return {name: after if (after := allowed.get(name, "")) in segment.outputs else "" for name in names}

    def _native(self, segment: Graph, plan: Plan) -> NativeStage:
        settings, states = self.settings, self.states.arrays
        limit, expendable = (
            settings.memory_limit_bytes,
            settings.expendable and len(segment.nodes) == len(self.graph.nodes),
        )
        program = Program(plan, segment.constants, settings.cpus, limit, states, settings.calls, expendable)
        return NativeStage(plan, program)


def prepare_graph(
    graph: Graph,
    types: Mapping[str, TensorType],
    options: PlanOptions = ALL_TECHNIQUES,
    precision: str = "fp32",
    kept: Sequence[str] = (),
) -> Graph:
    """The graph that is planned for these input types: specialised, rewritten, its types complete."""
    passes = pipeline.limited(pipeline.SPECIALISED, options.fusion, options.folding)
    passes = pipeline.reducing(passes, precision, kept)
    rewritten = pipeline.run(specialise(graph, types), passes)
    return specialise(rewritten, types)


def _check_sizes(graph: Graph, limit_bytes: int) -> None:
    """Raises MemoryLimitError for a tensor that is over the limit alone, also one that would be a mere view: an
    expansion takes no memory, but all that reads it takes time for every element.
    """
    for node in graph.nodes:
        for name in node.outputs:
            known = graph.types.get(name)
            if known is None or not known.is_static:
                continue
            if prod(known.static_shape) * size_bytes(known.dtype) > limit_bytes:
                raise MemoryLimitError(
                    f"{node}: '{name}' must take at most {limit_bytes} bytes, got {known}; raise memory_limit_bytes"
                )


def type_of_value(value: Any) -> TensorType:
    """The type of an array; an opaque one for what is no array."""
    if not isinstance(value, np.ndarray | np.generic):
        return TensorType(OPAQUE, None)
    try:
        return TensorType(from_numpy(value.dtype), tuple(int(extent) for extent in np.shape(value)))
    except UnsupportedError:
        return TensorType(OPAQUE, None)


def _constants_read(graph: Graph, stage: Stage) -> list[str]:
    if isinstance(stage, PythonStage):
        return [name for name in stage.node.inputs if name in graph.constants]
    return []
