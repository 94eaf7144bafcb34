"""`InferenceSession`: a model made ready to run on this machine, with onnxruntime's interface."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thew.errors import InputError, ModelError, PlanError, UnsupportedError
from thew.ir import Graph, TensorType
from thew.passes import pipeline
from thew.plan import Choices, Plan, PlanOptions, fingerprint
from thew.runtime.arguments import Argument, argument_of, as_array, contiguous, numpy_or_none
from thew.runtime.device import granted_threads, parse_cores, target
from thew.runtime.executable import Executable, Settings, type_of_value
from thew.runtime.lru import Recent
from thew.runtime.parts import executable_in_parts

if TYPE_CHECKING:
    from thew.passes.requantise import Quantisation
    from thew.runtime.explain import Explanation

PRECISIONS = ("fp32", "fp64", "fp16", "bf16", "auto")
MODES = ("latency", "throughput", "auto")
Model = str | os.PathLike[str] | bytes | Graph


class InferenceSession:
    """Runs a model.

    The plan for each set of input shapes is built on first use, and the few used last are kept. `run` may be called
    from several threads.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        threads: workers, this thread among them; by default one a core that this process is granted: by its affinity
            mask, `cores`, and the CPU quota of its container.
        precision: "fp32" runs the model as it is; "fp64" computes its fp32 parts in double precision; "fp16" and "bf16"
            keep their tensors in 16 bits (see `thew.passes.reduce_precision`; in fp16, magnitudes over 65504 become
            infinite); "auto" does so for the layers that were measured to be faster for it, which takes a few runs in
            each precision for every new set of shapes. Inputs and outputs have the model's dtypes in any case.
        plan: path of a plan saved by `Plan.save` for this model and device, or the plan itself.
        cores: "all", "big", "little" or a list such as "0-3": the CPUs that the workers are kept on.
        memory_limit_bytes: take no more: where the fastest plan would, one that keeps less (Winograd's weights are the
            first to go), and where none fits, refuse.
        isa: use nothing better than this instruction set.
        mode: "latency": all threads work on each layer of a run; "throughput": a batch is cut into parts, each run by
            one thread, where the model treats its images apart; "auto": in parts where the batch gives every thread
            two or more.
        options: techniques that plans may use; all by default.
        choices: how given nodes must be run, by the name of a node's first output in the graph that is planned (a
            plan's `choices` has them all).
        replan: whether a plan for another device or of another version is adapted to this one instead of refused: nodes
            run as it says, where they can here.

    Raises:
        ModelError: the model is malformed or breaks a rule.
        UnsupportedError: it needs what Thew does not have.
        PlanError: the plan is not one for this model on this device.
        MemoryLimitError: the limit would be exceeded.

    Example:
        >>> session = InferenceSession("model.onnx", threads=2)
        >>> (y,) = session.run(None, {"input": x})
    """

    def __init__(
        self,
        model: Model,
        threads: int | None = None,
        precision: str = "fp32",
        plan: str | os.PathLike[str] | Plan | None = None,
        *,
        cores: str | None = None,
        memory_limit_bytes: int | None = None,
        isa: str | None = None,
        mode: str = "latency",
        options: PlanOptions | None = None,
        choices: Choices | None = None,
        replan: bool = False,
    ) -> None:
        cpus = parse_cores(cores)
        threads = granted_threads(cpus) if threads is None else threads
        if not isinstance(threads, int) or not 1 <= threads <= 1024:
            raise InputError(f"threads: must be between 1 and 1024, got {threads!r}")
        if precision not in PRECISIONS:
            raise UnsupportedError(f"precision: must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        if mode not in MODES:
            raise InputError(f"mode: must be one of {', '.join(MODES)}, got {mode!r}")
        for name, value, kind, rule in (
            ("memory_limit_bytes", memory_limit_bytes, int | None, "a whole number of bytes, or None"),
            ("plan", plan, str | os.PathLike | Plan | None, "a plan, or the path of one"),
            ("options", options, PlanOptions | None, "thew.plan.PlanOptions"),
        ):
            if not isinstance(value, kind):
                raise InputError(f"{name}: must be {rule}, got {value!r}")
        if replan and plan is not None:
            from thew.runtime.replan import replan as adapted

            model = _load(model, memory_limit_bytes)
            plan = adapted(model, plan, threads)
        self._given = Plan.load(plan) if isinstance(plan, str | os.PathLike) else plan
        if self._given is not None and options not in (None, self._given.options):
            raise PlanError(f"plan: must be made with these options, {options}, got {self._given.options}")
        options = options or (self._given.options if self._given is not None else PlanOptions())
        kept: tuple[str, ...] = ()
        if self._given is not None:
            if precision not in ("fp32", "auto", self._given.precision):
                raise PlanError(f"plan: must be made for precision {precision}, got one for {self._given.precision}")
            precision, kept = self._given.precision, self._given.kept
        self._settings = Settings(
            target(threads, isa), cpus, memory_limit_bytes, options, dict(choices or {}), precision, kept
        )
        self._part_target = target(1, isa, threads) if mode != "latency" else None
        self._least_batch = 2 * threads if mode == "auto" else 2
        self._owns_graph = not isinstance(model, Graph)
        passes = pipeline.limited(pipeline.LOAD, options.fusion, options.folding)
        self._graph = pipeline.run(self._loaded(model), passes)  # nobody else holds weights that passes replace
        self._names = tuple(value.name for value in self._graph.inputs)
        self._known = frozenset(self._names)
        self._dtypes = tuple(numpy_or_none(value.type.dtype) for value in self._graph.inputs)
        self._outputs = self._graph.outputs
        self._executables: Recent[tuple[TensorType, ...], Executable] = Recent(self._settings.kept_shapes)
        self._quick: dict[tuple[tuple[int, ...], ...], Any] = {}  # shapes → the one native stage
        if self._given is not None:
            self._prepare(tuple(value.type for value in self._given.inputs))
        elif all(value.type.is_static for value in self._graph.inputs):
            self._prepare(tuple(value.type for value in self._graph.inputs))
            self._graph = self._graph.replace(nodes=(), outputs=(), constants={}, types={})  # no other shape can come

    def _loaded(self, model: Model) -> Graph:
        """The model's graph, as the plan that was given and the precision want it."""
        graph = _load(model, self._settings.memory_limit_bytes)
        if self._given is not None and self._given.quantisation is not None:
            graph = _requantised(graph, self._given.quantisation)
        if self._settings.precision == "fp64":
            from thew.passes.widen import widen

            graph = widen(graph)
        return graph

    # What the model takes and gives

    def get_inputs(self) -> list[Argument]:
        """The inputs, in order."""
        return [argument_of(value.name, value.type) for value in self._graph.inputs]

    def get_outputs(self) -> list[Argument]:
        """The outputs, in order; of one of which the model says nothing, what the run before gave, or None."""
        last = self._executables.last()
        known = {name: self._graph.type_of(name) for name in self._outputs}
        return [
            argument_of(name, found if found is not None or last is None else last.graph.type_of(name))
            for name, found in known.items()
        ]

    # Running

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        """Runs the model.

        Args:
            output_names: which outputs, in which order; None or an empty list for all.
            feeds: arrays by input name (anything NumPy takes without a copy, DLPack included).

        Returns:
            Arrays, one an output.

        Raises:
            InputError: names, dtypes or shapes do not fit the model.
        """
        try:
            arrays = [feeds[name] for name in self._names]
            stage = self._quick[tuple([array.shape for array in arrays])]
            if len(feeds) != len(arrays):
                return self._run_slowly(output_names, feeds)
            for array, dtype in zip(arrays, self._dtypes, strict=True):
                if array.dtype != dtype or not array.flags.c_contiguous or type(array) is not np.ndarray:
                    return self._run_slowly(output_names, feeds)
        except (KeyError, AttributeError, TypeError):
            return self._run_slowly(output_names, feeds)
        outputs: list[Any] = stage.call(arrays)
        if output_names is None:
            return outputs
        return self._chosen(output_names, dict(zip(self._outputs, outputs, strict=True)))

    def _run_slowly(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        """All checks and conversions, and plans where there is none yet."""
        values = self._checked(feeds)
        executable = self._prepare(tuple(map(type_of_value, values.values())))
        if executable.single is not None:
            arrays = [contiguous(name, array) for name, array in values.items()]
            results: dict[str, Any] = dict(zip(self._outputs, executable.single.call(arrays), strict=True))
        else:
            results = executable.run(values)
        return self._chosen(output_names, results)

    def _chosen(self, names: Sequence[str] | None, results: Mapping[str, Any]) -> list[Any]:
        if names is None or len(names) == 0:
            names = self._outputs
        if isinstance(names, str):
            raise InputError(f"run: names of outputs must be a list, or None for all, got '{names}'; put it in one")
        for name in names:
            if name not in results:
                raise InputError(f"output '{name}': must be one of the model's, which are {list(self._outputs)}")
        return [results[name] for name in names]

    def _checked(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(feeds, Mapping):
            raise InputError(f"run: inputs must be a mapping of names to arrays, got {type(feeds).__name__}")
        for name in feeds:
            if name not in self._known:
                raise InputError(
                    f"input '{name}': must be one of the model's, which are {list(self._names)}; leave it out"
                )
        values: dict[str, Any] = {}
        for declared, dtype in zip(self._graph.inputs, self._dtypes, strict=True):
            if declared.name not in feeds:
                raise InputError(f"input '{declared.name}': must be given as {declared.type}, got none")
            values[declared.name] = as_array(declared.name, feeds[declared.name], dtype)
        return values

    def _prepare(self, types: tuple[TensorType, ...]) -> Executable:
        executable = self._executables.get(types, lambda: self._make(types))
        single = executable.single
        if single is not None:
            if len(self._quick) >= self._settings.kept_shapes:
                self._quick = {}
            self._quick[tuple(shape.static_shape for shape in types)] = single
        return executable

    def _make(self, types: tuple[TensorType, ...]) -> Executable:
        by_name = dict(zip(self._names, types, strict=True))
        given = self._given
        if given is not None and tuple(value.type for value in given.inputs) == types:
            if given.device != self._settings.target.device:
                here = self._settings.target.device
                raise PlanError(
                    f"plan: must be made for this device, {here}, got one for {given.device}; plan the model again, "
                    "or adapt it: replan"
                )
            planned = self._settings.prepare(self._graph, by_name)
            results = tuple((value.name, value.type) for value in given.outputs)
            if given.fingerprint != fingerprint(planned) or results != tuple(
                (name, planned.type_of(name)) for name in planned.outputs
            ):
                raise PlanError("plan: must be made for this model, got one for another; plan the model again")
            return Executable(self._graph, by_name, self._last_settings(self._settings), given)
        settings = self._settings
        if settings.precision == "auto":
            from thew.runtime.auto import faster_settings

            settings = faster_settings(self._graph, by_name, settings)
        if self._part_target is not None:
            part_settings, threads = replace(settings, target=self._part_target), settings.target.threads
            parted = executable_in_parts(self._graph, by_name, part_settings, threads, self._least_batch)
            if parted is not None:
                return parted
        return Executable(self._graph, by_name, self._last_settings(settings))

    def _last_settings(self, settings: Settings) -> Settings:
        """Where no other shape can come, and nobody else has the graph, its weights may go as they are packed."""
        is_last = self._owns_graph and all(value.type.is_static for value in self._graph.inputs)
        return replace(settings, expendable=is_last)

    # What it takes, and how

    def prepare(self, shapes: Mapping[str, Sequence[int]] | None = None) -> Executable:
        """Plans for input shapes (by default the declared ones, an unknown extent taken as 1) without running.

        Raises:
            InputError: names or shapes do not fit the model.
        """
        for name in shapes or {}:
            if name not in self._known:
                raise InputError(f"input '{name}': must be one of the model's, which are {list(self._names)}")
        return self._prepare(
            tuple(self._default_type(value.name, value.type, shapes or {}) for value in self._graph.inputs)
        )

    def _default_type(self, name: str, declared: TensorType, shapes: Mapping[str, Sequence[int]]) -> TensorType:
        if name in shapes:
            if not isinstance(shapes[name], Sequence) or not all(isinstance(extent, int) for extent in shapes[name]):
                raise InputError(f"input '{name}': its shape must be a list of whole numbers, got {shapes[name]!r}")
            return TensorType(declared.dtype, tuple(shapes[name]))
        if declared.shape is None:
            raise InputError(f"input '{name}': its shape is unknown, so it must be given here")
        return TensorType(declared.dtype, tuple(extent if isinstance(extent, int) else 1 for extent in declared.shape))

    @property
    def plan(self) -> Plan:
        """The plan used last (by default the one for the declared shapes).

        Raises:
            PlanError: the model does not run as one native plan: it has Python steps, which `explain` names.
        """
        executable = self._executables.last() or self.prepare()
        if executable.single is None:
            raise PlanError("plan: the model runs in several parts, some of them in Python; see explain()")
        return executable.single.plan

    @property
    def peak_memory_bytes(self) -> int:
        """Arena, scratch and weights of the shapes used last (by default the declared ones), known before the first
        run.

        Where shapes may change, this counts the model's own copy of the weights too: other plans are made from it.
        """
        held = sum(array.nbytes for array in self._graph.constants.values())
        return (self._executables.last() or self.prepare()).peak_memory_bytes + held

    def explain(self, shapes: Mapping[str, Sequence[int]] | None = None, rounds: int = 5) -> Explanation:
        """A table of the steps: layer, algorithm, precision, time, GFLOP/s, share of peak, bytes. Prints as one.

        Args:
            shapes: input shapes by name; by default those used last, or the declared ones.
            rounds: timed runs; the fastest counts. 0 leaves times out.
        """
        from thew.runtime.explain import explain

        last = self._executables.last()
        executable = self.prepare(shapes) if shapes is not None or last is None else last
        return explain(executable, rounds)


def _load(model: Model, memory_limit_bytes: int | None) -> Graph:
    if isinstance(model, Graph):
        return model
    from thew.onnx import read

    return read(model, memory_limit_bytes=memory_limit_bytes)


def _requantised(graph: Graph, quantisation: Quantisation) -> Graph:
    from thew.passes.requantise import requantise

    try:
        return requantise(graph, quantisation)
    except ModelError as error:
        raise PlanError(f"plan: must be made for this model, got one whose {error}; plan the model again") from error


__all__ = ["Argument", "InferenceSession"]
