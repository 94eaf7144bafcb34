"""Phase one: the time of every way to run every distinct layer, and of every conversion, measured on the device.

Ways to run one layer are measured in turn, round by round, so that a busy moment meets all of them; a layer is done
when the medians are certain enough or the rounds are spent. What is far behind after a few rounds is left at that.
What was measured here under another version of the kernels is looked at again, shortly: once where it was far behind,
a few times where it takes what it took.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from thew.dtypes import to_numpy
from thew.errors import Error
from thew.ir import Node, TensorType
from thew.ir.graph import Array
from thew.ops import Call, get
from thew.plan.alternatives import ANY, LIKE, PLAIN, Alternative
from thew.plan.blocking import BLOCKINGS, FITTED
from thew.plan.cost import Cost, Costs
from thew.plan.layouts import LAYOUTS, dense_strides
from thew.plan.lower import how_attributes, step_attributes
from thew.runtime.cache import Cache, Measurement, default_path
from thew.runtime.device import device_key
from thew.runtime.native import bind_kernel, supported_rows

ROUNDS = (3, 15)  # least and most
CERTAIN = 0.02  # of the median, the half distance of quartiles over the root of the number of samples
HOPELESS = 2.0  # times the best of its layer: measured no further
NEAR = 0.1  # of what was measured under another version: where the first rounds say the same, they are enough
_METHOD = "in the layouts that are read and written"  # of measuring: what was measured otherwise is near at most
_SAMPLE_SECONDS = 2e-4  # a sample is as many calls as take this long


@dataclass(frozen=True)
class Trial:
    """Something to be measured.

    Attributes:
        key: all that its time depends on.
        layer: what else it is measured beside.
        prepare: gives a call that runs it once; raises a `thew.Error` where it cannot run.
    """

    key: str
    layer: str
    prepare: Callable[[], Callable[[], None]] = field(compare=False)


def step_key(call: Call, way: Alternative) -> str:
    """The key of running a call in a way: by a row, on threads, and in a layout where that takes several; the numbers
    of its blocking where that is not the fitted one.
    """
    choice = way.choice
    free = way.candidate.layout == ANY and choice.layout not in ("", PLAIN)
    more = [*([choice.layout] if free else []), *([BLOCKINGS[choice.blocking]] if choice.blocking != FITTED else [])]
    return json.dumps([way.row.name, *json.loads(layer_key(call)), choice.threads, *more], separators=(",", ":"))


def layer_key(call: Call) -> str:
    """What is the same for calls that take the same time."""
    types = [None if found is None else str(found) for found in call.types]
    constant = [value is not None for value in call.values]
    attributes = {name: value for name, value in sorted(step_attributes(call).items())}
    return json.dumps([call.node.op, types, constant, attributes], separators=(",", ":"), default=str)


def copy_key(shape: Iterable[int], dtype: str, threads: int, transposed: bool) -> str:
    """The key of a copy of a tensor, to channels last where it is transposed."""
    return json.dumps(["copy", dtype, list(shape), transposed, threads], separators=(",", ":"))


class Surveyor(Costs):
    """Costs that note which copies a planner asks for."""

    def __init__(self, trials: dict[str, Trial]) -> None:
        super().__init__()
        object.__setattr__(self, "_trials", trials)

    _trials: dict[str, Trial]

    def copy_seconds(self, shape: Iterable[int], dtype: str, threads: int, transposed: bool = True) -> float:
        """Notes a copy."""
        shape = tuple(shape)
        key = copy_key(shape, dtype, threads, transposed)
        if key not in self._trials:
            self._trials[key] = Trial(key, key, partial(prepare_copy, shape, dtype, threads, transposed))
        return super().copy_seconds(shape, dtype, threads, transposed)


class Measured(Costs):
    """Costs whose copies were measured; what was not is estimated."""

    def __init__(self, known: Mapping[str, Measurement]) -> None:
        super().__init__(name="measured")
        object.__setattr__(self, "_known", known)

    _known: Mapping[str, Measurement]

    def copy_seconds(self, shape: Iterable[int], dtype: str, threads: int, transposed: bool = True) -> float:
        """The measured time of a copy."""
        shape = tuple(shape)
        known = self._known.get(copy_key(shape, dtype, threads, transposed))
        return known.seconds if known else super().copy_seconds(shape, dtype, threads, transposed)


def step_trial(call: Call, way: Alternative, threads: int) -> Trial:
    """A way to run a node by a plan of so many threads, to be measured."""
    key, node, how = step_key(call, way), call.node, how_attributes(way.choice, threads)
    plain = Step(node.op, node.inputs, node.outputs, dict(node.attributes), call.types, call.values)
    return Trial(key, layer_key(call), partial(prepare_step, plain, way.reads, way.writes, way.row.name, threads, how))


def measured(call: Call, way: Alternative, known: Mapping[str, Measurement], refused: frozenset[str]) -> Alternative:
    """The way at its measured cost; as estimated where it was not measured, without end where it cannot run."""
    if is_view(way):
        return way
    key = step_key(call, way)
    if key in refused:
        return replace(way, cost=Cost(inf))
    return replace(way, cost=Cost(known[key].seconds)) if key in known else way


def is_view(way: Alternative) -> bool:
    """Whether nothing runs: the planner's rules for ops that only move data."""
    return way.candidate.family == "view"


# Making calls


@dataclass(frozen=True, slots=True)
class Step:
    """A `Call` as plain data, which other processes take, too."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    types: tuple[TensorType | None, ...]
    values: tuple[Array | None, ...]


def prepare_step(
    step: Step, reads: Sequence[str], writes: Sequence[str], row: str, threads: int, how: Mapping[str, Any]
) -> Callable[[], None]:
    """A call that runs a node by a row, on random data in the layouts that it reads and writes; `how` it runs is what
    `thew.plan.lower.how_attributes` says.
    """
    call = Call(Node(step.op, step.inputs, step.outputs, step.attributes), step.types, step.values)
    op = get(call.node.op)
    random = np.random.default_rng(0)
    inputs = [
        None if found is None else _array(found, value, layout, random)
        for found, value, layout in zip(call.types, call.values, reads, strict=True)
    ]
    made = [found for found in op.infer(call) if found is not None]
    outputs = [
        _array(found, None, layout, random)
        for found, layout in zip(made, (*writes, *[PLAIN] * len(made)), strict=False)
    ]
    constants = [index for index, value in enumerate(call.values) if value is not None]
    attributes = {**step_attributes(call), **how}
    return bind_kernel(row, call.node.op, inputs, outputs, attributes, constants, threads)


def prepare_copy(shape: Sequence[int], dtype: str, threads: int, transposed: bool) -> Callable[[], None]:
    """A call that copies a tensor from C order, to channels last where it is transposed."""
    random = np.random.default_rng(0)
    kind = TensorType(dtype, tuple(shape))
    source = _array(kind, None, "plain", random)
    result = _array(kind, None, "channels_last" if transposed else "plain", random)
    rows = [row for row in supported_rows() if (row.family, row.algorithm, row.a) == ("move", "strided", dtype)]
    return bind_kernel(rows[-1].name, "copy", [source], [result], {}, (), threads)


def _array(found: TensorType, value: Array | None, layout: str, random: np.random.Generator) -> Array:
    if value is not None:
        return np.ascontiguousarray(value)
    shape, dtype = found.static_shape, to_numpy(found.dtype)
    # Labels and places must be some that there are.
    drawn = random.integers(0, 2, shape) if dtype.kind in "iu" else random.standard_normal(shape)
    plain: Array = drawn.astype(dtype)
    layout = layout.removeprefix(LIKE)
    if layout not in LAYOUTS or layout == PLAIN:
        return plain
    base = np.empty(plain.size, dtype)
    strides = tuple(stride * base.itemsize for stride in dense_strides(layout, shape))
    result = np.lib.stride_tricks.as_strided(base, shape, strides)
    result[...] = plain
    return result


# Measuring


def measure(
    trials: Sequence[Trial],
    cache: Cache,
    budget_seconds: float = 300.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    farm: Executor | None = None,
) -> tuple[dict[str, Measurement], frozenset[str]]:
    """Measures what the cache does not know: all that is known then, and the keys of what cannot run.

    Every layer's measurements are kept as soon as they are there, so that an interrupted survey goes on where it was.

    Args:
        trials: what is to be known.
        cache: what is known already; takes what is found.
        budget_seconds: no layer is begun after so many.
        progress: called with how much is done, and of how much.
        farm: whose workers measure, on boards of this kind; this process where it is None.
    """
    known, near = cache.known(), {key: one.seconds for key, one in cache.near().items()}
    layers: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.key not in known:
            layers.setdefault(trial.layer, []).append(trial)
    refused: set[str] = set()
    started, done, total = perf_counter(), 0, sum(map(len, layers.values()))
    progress(done, total)
    for beside, (found, cannot) in _measured(list(layers.values()), near, farm):
        cache.add(found)
        known.update({measurement.key: measurement for measurement in found})
        refused.update(cannot)
        done += len(beside)
        progress(done, total)
        if perf_counter() - started > budget_seconds:
            break
    progress(total, total)
    return known, frozenset(refused)


def _measured(
    layers: Sequence[Sequence[Trial]], near: Mapping[str, float], farm: Executor | None
) -> Iterator[tuple[Sequence[Trial], tuple[list[Measurement], list[str]]]]:
    """Each layer with what was found for it."""
    if farm is not None:
        from thew.search.farm import measured_by

        yield from measured_by(farm, layers, near)
        return
    for layer in layers:
        yield layer, measure_layer(layer, near)


def measure_layer(layer: Sequence[Trial], near: Mapping[str, float]) -> tuple[list[Measurement], list[str]]:
    """The measurements of ways to run one layer, and the keys of those that cannot run.

    Args:
        layer: its ways.
        near: seconds that some of them took under another version of the kernels, by key.
    """
    runs, refused = {}, []
    for trial in layer:
        try:
            run = trial.prepare()
            run()
            runs[trial.key] = run
        except Error:
            refused.append(trial.key)
    return _rounds(runs, {key: near[key] for key in runs if key in near}) if runs else [], refused


def _rounds(runs: dict[str, Callable[[], None]], near: Mapping[str, float]) -> list[Measurement]:
    """Measures in turn until each is certain, hopeless, as it was before (`near`), or has had its rounds."""
    samples: dict[str, list[float]] = {key: [] for key in runs}
    calls = {key: _calls(run) for key, run in runs.items()}
    waiting, least = set(runs), min(near.values(), default=inf)
    for key in [key for key, seconds in near.items() if seconds > HOPELESS * least]:
        samples[key].append(_sample(runs[key], calls[key]))
        if samples[key][0] > (1 - 2 * NEAR) * near[key]:  # else it is another than it was
            waiting.discard(key)
    for number in range(ROUNDS[1]):
        for key in [key for key in runs if key in waiting]:
            samples[key].append(_sample(runs[key], calls[key]))
        if number + 1 < ROUNDS[0]:
            continue
        best = min(float(np.median(values)) for values in samples.values())
        for key in list(waiting):
            found = _summary(key, samples[key])
            same = abs(found.seconds / near[key] - 1) < NEAR if key in near else False
            if same or found.seconds > HOPELESS * best or found.spread / found.samples**0.5 < CERTAIN:
                waiting.discard(key)
        if not waiting:
            break
    return [_summary(key, values) for key, values in samples.items()]


def _calls(run: Callable[[], None]) -> int:
    return max(1, min(1000, int(_SAMPLE_SECONDS / max(_sample(run, 1), 1e-7))))


def _sample(run: Callable[[], None], calls: int) -> float:
    started = perf_counter()
    for _ in range(calls):
        run()
    return (perf_counter() - started) / calls


def _summary(key: str, values: Sequence[float]) -> Measurement:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return Measurement(key, float(max(middle, 1e-9)), float((high - low) / 2 / max(middle, 1e-9)), len(values))


def measurements(path: str | os.PathLike[str] | None = None) -> Cache:
    """This machine's measurements with these kernels, in a file; in the user's own where none is given."""
    return Cache(device_key(), kernels_version(), default_path() if path is None else Path(path))


def kernels_version() -> str:
    """What measurements are tied to beside the device: Thew's version and the kernels that it has."""
    import hashlib

    from thew import __version__

    names: Any = "\n".join((_METHOD, *sorted(row.name for row in supported_rows())))
    return f"{__version__}+{hashlib.sha256(names.encode()).hexdigest()[:8]}"
