"""The sole importer of the native module: programs made from plans, single kernels for tests, the kernel table.

A view goes to native code as a tuple (place, index, offset in bytes, dtype, shape, strides[, address]); see
`native/bind/bind.hpp`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from thew.dtypes import from_numpy, size_bytes, to_numpy
from thew.errors import PlanError
from thew.ir import TensorType
from thew.ir.graph import Array
from thew.plan import KernelRow, Needs, Plan, Step, View
from thew.plan.collective import CALL
from thew.runtime import _native
from thew.runtime.weights import Expendable

Operand = tuple[Any, ...] | None
Code = Callable[..., None]  # of a call: its step's name, the dtype of its operand, the operand's bytes
FIXED = ("constant", "state")  # places whose addresses a program holds
PHASES = ("compute", "pack", "transform")  # as in native/base/phase.hpp


class Span(NamedTuple):
    """A stretch of one worker's time: which step, which phase of it (of PHASES), which tile (-1: outside parallel
    loops), and from when to when, in seconds of `time.perf_counter`.
    """

    step: int
    worker: int
    phase: int
    tile: int
    begin: float
    end: float


@cache
def kernel_table() -> tuple[dict[str, Any], ...]:
    """Every compiled row as a dictionary; ``supported`` says whether this CPU can run it."""
    return tuple(_native.kernel_rows())


@cache
def supported_rows() -> tuple[KernelRow, ...]:
    """The rows that this CPU can run."""
    fields = KernelRow.__dataclass_fields__
    return tuple(KernelRow(**{name: row[name] for name in fields}) for row in kernel_table() if row["supported"])


def _operand(view: View | None, constants: Mapping[str, Array] | None) -> Operand:
    if view is None:
        return None
    fields = (view.place, view.index, view.offset_bytes, view.dtype, view.shape, view.strides)
    if view.place not in FIXED:
        return fields
    if constants is None:
        return (*fields, 0)
    array = constants[view.name]
    _check_constant(view, array)
    return (*fields, array.ctypes.data)


def _placed(view: View | None) -> Operand:
    return _operand(view, None)


def _check_constant(view: View, array: Array) -> None:
    """A plan from a file may name any view: it must stay within the constant."""
    last = sum((extent - 1) * stride for extent, stride in zip(view.shape, view.strides, strict=True) if stride > 0)
    first = sum((extent - 1) * stride for extent, stride in zip(view.shape, view.strides, strict=True) if stride < 0)
    size = size_bytes(view.dtype)
    if 0 not in view.shape and (
        view.offset_bytes + first * size < 0 or view.offset_bytes + (last + 1) * size > array.nbytes
    ):
        raise PlanError(
            f"{view.place} '{view.name}': a view must lie within its {array.nbytes} bytes, got {view}; plan again"
        )


def _stages(step: Step, constants: Mapping[str, Array] | None) -> list[tuple[Any, ...]]:
    def described(views: Iterable[View | None]) -> list[Operand]:
        return [_operand(view, constants) for view in views]

    return [
        (stage.kernel, stage.op, stage.name, described(stage.inputs), described(stage.outputs), dict(stage.attributes))
        for stage in step.stages
    ]


def step_needs(step: Step, threads: int) -> Needs:
    """What a step would take, without packing anything. Raises PlanError where its kernel cannot run it."""
    inputs = [_operand(view, None) for view in step.inputs]
    outputs = [_operand(view, None) for view in step.outputs]
    scratch, packed, packs = _native.step_needs(
        step.kernel, step.op, step.name, inputs, outputs, dict(step.attributes), threads, _stages(step, None)
    )
    return Needs(scratch, packed, tuple(packs))


class Program:
    """A plan made ready: constants packed, buffers placed, states bound.

    Immutable; `run` may be called from several threads, unless it changes states.
    """

    def __init__(
        self,
        plan: Plan,
        constants: Mapping[str, Array],
        cpus: Sequence[int] = (),
        memory_limit_bytes: int | None = None,
        states: Mapping[str, Array] | None = None,
        calls: Mapping[str, Code] | None = None,
        expendable: bool = False,
    ) -> None:
        weights = _expendable(plan, constants) if expendable else None
        self.states = {state.name: _state(states or {}, state.name, state.type) for state in plan.states}
        self._program = _native.Program(plan.threads, list(cpus))
        self._kept: dict[str, Array] = {}  # constants that kernels read in place
        for step in plan.steps:
            if step.kernel == CALL:
                self._add_call(step, calls or {})
                continue
            arrays = dict(self.states)
            for view in step.inputs:
                if view is not None and view.place == "constant":
                    # One that is kept stays as it is: an earlier step holds its address.
                    kept = self._kept.get(view.name)
                    arrays[view.name] = native_constant(constants, view.name) if kept is None else kept
            inputs = [_operand(view, arrays) for view in step.inputs]
            outputs = [_operand(view, arrays) for view in step.outputs]
            freed = self._program.add(
                step.kernel, step.op, step.name, inputs, outputs, dict(step.attributes), _stages(step, arrays)
            )
            for view, packed in zip(step.inputs, freed, strict=True):
                if view is not None and view.place == "constant" and not packed:
                    self._kept[view.name] = arrays[view.name]
                elif view is not None and view.place == "constant" and weights is not None:
                    weights.packed(view.name)
        externals = [*plan.inputs, *plan.outputs]
        sizes = [int(np.prod(value.type.static_shape)) * size_bytes(value.type.dtype) for value in externals]
        self._program.finish(plan.arena_bytes, sizes, memory_limit_bytes or 0)
        self._inputs = len(plan.inputs)
        self.run = self._program.run  # (arrays, number of inputs): bound once, since run is the hot call

    def _add_call(self, step: Step, calls: Mapping[str, Code]) -> None:
        if step.op not in calls:
            return  # to one process alone a sum over all is its own
        dtype = step.inputs[0].dtype if step.inputs and step.inputs[0] is not None else ""
        self._program.add_call(step.name, partial(calls[step.op], step.name, dtype), [*map(_placed, step.inputs)])

    def run_parts(self, arrays: tuple[Array, ...], parts: int, threads: int, cpus: Sequence[int]) -> None:
        """Runs on several parts of the arrays' leading axis at once, each on one of `threads` workers."""
        self._program.run_parts(arrays, self._inputs, parts, threads, list(cpus))

    def profile(self, arrays: tuple[Array, ...]) -> list[float]:
        """Runs once, and returns the seconds of each step."""
        return list(self._program.profile(arrays, self._inputs))

    def trace(self, arrays: tuple[Array, ...], inputs: int) -> list[Span]:
        """Runs once, and returns who did what when."""
        return [Span(*fields) for fields in self._program.trace(arrays, inputs)]

    @property
    def memory_bytes(self) -> int:
        """Bytes held now: arenas with scratch, packed weights, constants."""
        kept = sum(array.nbytes for array in self._kept.values())
        arenas = self._program.arenas * (self._program.arena_bytes + self._program.scratch_bytes)
        return int(arenas + self._program.packed_bytes + kept)


def _expendable(plan: Plan, constants: Mapping[str, Array]) -> Expendable:
    reads = [view.name for step in plan.steps for view in step.inputs if view is not None and view.place == "constant"]
    return Expendable(constants, reads, [value.name for value in plan.outputs])


def _state(states: Mapping[str, Array], name: str, known: TensorType) -> Array:
    """The array of a state, which is read and written where it lies. Raises PlanError for one that does not fit."""
    array = states.get(name)
    shape, dtype = known.static_shape, to_numpy(known.dtype)
    if array is None or array.shape != shape or array.dtype != dtype:
        got = "none" if array is None else f"{array.dtype} of shape {array.shape}"
        raise PlanError(f"state '{name}': must be an array of {known}, got {got}")
    if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
        raise PlanError(f"state '{name}': must be a writeable array in C order, got one that is not; copy it")
    return array


def native_constant(constants: Mapping[str, Array], name: str) -> Array:
    """A constant in C order. Raises PlanError where the model has none of that name."""
    if name not in constants:
        raise PlanError(
            f"constant '{name}': the plan reads it, but the model has none of that name; plan the model again"
        )
    return np.ascontiguousarray(constants[name])


def buffer_of(array: Array) -> Array:
    """The array as native code takes it: dtypes outside the buffer protocol as integers of their size."""
    return array.view(np.uint16) if array.dtype.kind == "V" or array.dtype.name == "bfloat16" else array


def make_feed(
    pictures: Array,
    factor: Sequence[float],
    shift: Sequence[float],
    augmentations: Sequence[tuple[str, int]],
    seed: int,
    threads: int,
) -> Any:
    """Threads that prepare pictures: ``submit(numbers, epoch, out)`` begins a batch, its result's ``wait()`` ends it.

    Args:
        pictures: uint8, (n, c, h, w) in C order; kept alive, and read by the threads.
        factor: of each channel.
        shift: of each channel.
        augmentations: names and extents; see `native/data/pictures.hpp`.
        seed: of augmentation, below 2⁶⁴.
        threads: how many, at most 64; without, a batch is made by who waits for it.

    Raises:
        PlanError: an argument is out of range.
    """
    return _native.Feed(pictures, list(factor), list(shift), list(augmentations), seed, threads)


def run_kernel(
    kernel: str,
    op: str,
    inputs: Sequence[Array | None],
    outputs: Sequence[Array],
    attributes: Mapping[str, Any] | None = None,
    constants: Collection[int] = (),
    threads: int = 1,
) -> None:
    """Runs one row of the kernel table once: see `bind_kernel`."""
    bind_kernel(kernel, op, inputs, outputs, attributes, constants, threads)()


def bind_kernel(
    kernel: str,
    op: str,
    inputs: Sequence[Array | None],
    outputs: Sequence[Array],
    attributes: Mapping[str, Any] | None = None,
    constants: Collection[int] = (),
    threads: int = 1,
) -> Callable[[], None]:
    """One row of the kernel table on arrays of any strides, ready to run: what the contract tests call, and a search
    measures. Each call of the result writes `outputs`.

    Args:
        kernel: a row's name.
        op: the op it should compute.
        inputs: arrays or views; None for an absent one.
        outputs: arrays or views, overwritten. One that shares memory with an input is run in place.
        attributes: as in the op's node, resolved (pads, axes).
        constants: positions of inputs to be handed over as constants (and packed).
        threads: workers.

    Raises:
        PlanError: the row cannot run what was described.
    """
    bases: list[Array] = []

    def external(array: Array) -> Operand:
        base = _base_of(array)
        index = next((i for i, known in enumerate(bases) if known is base), len(bases))
        if index == len(bases):
            bases.append(base)
        return _described("external", index, array, array.ctypes.data - base.ctypes.data)

    program = _native.Program(threads, [])
    sources = [
        None
        if array is None
        else (*_described("constant", 0, array, 0), array.ctypes.data)
        if i in constants
        else external(array)
        for i, array in enumerate(inputs)
    ]
    results = [external(array) for array in outputs]
    program.add(kernel, op, "kernel", sources, results, dict(attributes or {}))
    flat = tuple(base.reshape(-1).view(np.uint8) for base in bases)
    program.finish(0, [base.nbytes for base in bases])
    kept = list(inputs)  # a kernel may read a constant where it lies

    def run() -> None:
        assert kept is not None
        program.run(flat, 0)

    return run


def _described(place: str, index: int, array: Array, offset: int) -> tuple[Any, ...]:
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return (place, index, offset, from_numpy(array.dtype), array.shape, strides)


def _base_of(array: Array) -> Array:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def names(rows: Iterable[KernelRow]) -> list[str]:
    """The rows' names."""
    return [row.name for row in rows]
