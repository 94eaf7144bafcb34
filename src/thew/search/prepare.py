"""From a model to its measured space: what it takes, in which precisions it may run, what is chosen once for it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from thew.compress import Calibrator
from thew.compress.accuracy import Data
from thew.compress.observe import Progress, silent
from thew.dtypes import HALVES
from thew.errors import InputError
from thew.ir import Graph, TensorType
from thew.passes import pipeline
from thew.runtime.cache import default_path
from thew.runtime.device import target
from thew.search.environment import Environment
from thew.search.forms import FLOAT, INTEGER
from thew.search.measure import measurements
from thew.search.mixed import MixedEnvironment
from thew.search.network_level import choose_settings, facts_of, planned_graph, usable_halves
from thew.search.objective import LATENCY, Objective
from thew.search.result import Tried
from thew.search.space import LEVELS, Settings
from thew.search.transfer import Transfer

PRECISIONS = (FLOAT, INTEGER, *reversed(HALVES))


@dataclass(frozen=True)
class Prepared:
    """A model whose space was measured.

    Attributes:
        environment: its space.
        settings: what was chosen once for the network.
        tried: what else was tried there.
        facts: what the network has that dimensions need.
    """

    environment: Environment
    settings: Settings
    tried: tuple[Tried, ...] = ()
    facts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scope:
    """What of the space is searched.

    Attributes:
        levels: of `thew.search.space.LEVELS`.
        objective: what decides on the level of the network.
        tune: whether what is chosen once for the network is tried; else it stays as the planner has it.
        halves: 16-bit types that layers may compute in.
        budget_seconds: for measurements.
        farm: whose workers measure; None for this process.
        cache: file of measurements; None for the user's own.
        transfer: another device's times, from which the survey starts.
    """

    levels: Collection[str] = LEVELS
    objective: Objective = field(default_factory=lambda: Objective({LATENCY: 1.0}))
    tune: bool = True
    halves: tuple[str, ...] = ()
    budget_seconds: float = 300.0
    farm: Executor | None = None
    cache: str | os.PathLike[str] | None = None
    transfer: Transfer | None = None


def prepare(
    source: Graph,
    types: Mapping[str, TensorType],
    threads: int = 1,
    calibrator: Calibrator | None = None,
    scope: Scope | None = None,
    progress: Progress = silent,
) -> Prepared:
    """A model's space of plans on this machine, measured; with a calibrator, layers may also run on 8-bit integers."""
    scope = scope or Scope()
    first = Settings(threads=threads, half=next(iter(scope.halves), ""), halves=scope.halves)
    with closing(measurements(scope.cache)) as kept:
        settings, tried = choose_settings(
            source,
            types,
            first,
            scope.levels if scope.tune else (),
            calibrator,
            scope.objective,
            partial(progress, "trying settings"),
            kept,
        )
        environment = space_of(source, types, settings, calibrator, scope.levels, Path(scope.cache or default_path()))
        environment.survey(
            kept, scope.budget_seconds, lambda *at: progress("measuring", *at), scope.farm, scope.transfer
        )
    return Prepared(environment, settings, tried, facts_of(source, first, calibrator))


def space_of(
    source: Graph,
    types: Mapping[str, TensorType],
    settings: Settings,
    calibrator: Calibrator | None = None,
    levels: Collection[str] = LEVELS,
    cache: Path | None = None,
) -> Environment:
    """A model's space of plans under settings, of which nothing is measured yet."""
    graph, here, options = planned_graph(source, types, settings), target(settings.threads), settings.options
    if calibrator is None and not settings.half:
        return Environment(source, graph, here, options=options, levels=levels)
    how = (calibrator, settings.calibration, settings.half, cache)
    return MixedEnvironment(source, graph, here, *how, options=options, levels=levels)


def check_precisions(precisions: Sequence[str]) -> None:
    """Raises InputError for what layers cannot compute in."""
    if set(precisions) - set(PRECISIONS) or FLOAT not in precisions:
        raise InputError(f"precisions: must be {FLOAT} and others of {', '.join(PRECISIONS)}, got {tuple(precisions)}")


def calibrator_for(
    source: Graph,
    data: Data | None,
    precisions: Sequence[str],
    threads: int,
    progress: Progress = silent,
    cache: str | os.PathLike[str] | None = None,
) -> Calibrator | None:
    """What quantises the model; None where nothing may be quantised, or it is already."""
    is_quantised = any(node.op == "quantize_linear" for node in source.nodes)
    if data is None or INTEGER not in precisions or is_quantised:
        return None
    return Calibrator(source, data.x, threads=threads, progress=progress, cache=Path(cache or default_path()))


def halves_for(
    source: Graph,
    types: Mapping[str, TensorType],
    data: Data | None,
    precisions: Sequence[str],
    threads: int,
    cache: str | os.PathLike[str] | None = None,
) -> tuple[str, ...]:
    """The 16-bit types that layers may compute in: those asked for that keep the outputs for the samples."""
    wanted = [half for half in precisions if half in HALVES]
    if data is None or not wanted:
        return ()
    with closing(measurements(cache)) as kept:
        return usable_halves(source, types, wanted, data.x, threads, kept)


def types_of(
    graph: Graph, samples: Data | None, shapes: Mapping[str, Sequence[int]], open_extent: int = 1
) -> dict[str, TensorType]:
    """Static types of the inputs: as given, as in the data, else `open_extent` for what is symbolic."""
    types = {}
    inputs = pipeline.run(graph, pipeline.LOAD).inputs
    unknown = set(shapes) - {value.name for value in inputs}
    if unknown:
        raise InputError(
            f"input_shapes: must name the model's inputs, {[v.name for v in inputs]}, got {sorted(unknown)}"
        )
    for value in inputs:
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
