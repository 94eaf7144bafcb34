"""What is chosen once for a network: each dimension by trying its values on the whole of it, the others as they are.

Time and memory of the planner's own plan decide; for the calibration, how near the outputs of the fully quantised
network come to those of the float one on the samples of the calibration. A 16-bit type is not offered at all where the
outputs of the whole network in it are far from those in fp32: where activations leave the range of fp16.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any

import numpy as np

from thew.compress import Calibrator, Method
from thew.compress.digests import digest_of, model_key
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
from thew.plan import build_plan
from thew.runtime import survey
from thew.runtime.cache import Cache, Measurement
from thew.runtime.device import target
from thew.runtime.session import InferenceSession
from thew.search.forms import Form
from thew.search.objective import Objective
from thew.search.result import Tried
from thew.search.space import OF_NETWORKS, Settings
from thew.search.space.calibration import CALIBRATION
from thew.search.space.half import HALF
from thew.search.space.pruning import PRUNING
from thew.search.space.weights import WEIGHTS
from thew.search.trial import times_in_turn

OF_MODELS = (PRUNING, WEIGHTS)  # chosen before: see `thew.search.pruned`
_ROUNDS = 9
_MARGIN = 0.98  # of the planner's own value: what wins by less may be noise
_ROUNDS_WON = 0.75  # and in so many rounds
_LEAST = 1e-30  # of what is kept: less is nothing
_SAMPLES = 32  # that calibrations are compared on
_NOISE = 0.01  # of the outputs' energy, in 16 bits: rounding each of a hundred layers to 8 bits adds less


def planned_graph(source: Graph, types: Mapping[str, TensorType], settings: Settings) -> Graph:
    """The graph that is planned under these settings."""
    shapes = {name: known.static_shape for name, known in types.items()}
    return survey.planned_graph(source, shapes, settings.options)


def facts_of(source: Graph, settings: Settings, calibrator: Calibrator | None) -> frozenset[str]:
    """What there is that dimensions of networks need."""
    found = {
        "batch norms": any(node.op == "batch_normalization" for node in source.nodes),
        "integers": calibrator is not None,
    }
    return frozenset(name for name, there in found.items() if there)


def choose_settings(
    source: Graph,
    types: Mapping[str, TensorType],
    settings: Settings,
    levels: Collection[str],
    calibrator: Calibrator | None,
    wanted: Objective,
    tick: Callable[[int, int], None] = lambda done, total: None,
    cache: Cache | None = None,
) -> tuple[Settings, tuple[Tried, ...]]:
    """The settings that are best, one dimension after the other, and what was tried, now or before (`cache`)."""
    has, tried = facts_of(source, settings, calibrator), []
    about = [model_key(source), *(f"{name}: {known}" for name, known in types.items()), sorted(wanted.weights.items())]
    for position, dimension in enumerate(OF_NETWORKS):
        tick(position, len(OF_NETWORKS))
        values = dimension.free(settings, has)
        if len(values) < 2 or dimension.level not in levels or dimension in OF_MODELS:
            continue
        if dimension is CALIBRATION:
            assert calibrator is not None
            worth = remembered(
                cache,
                [*about, CALIBRATION.name, digest_of(calibrator.feeds.values())],
                values,
                partial(_errors, source, types, calibrator, values),
            )
            best = min(worth, key=worth.__getitem__)
        else:
            own = settings if dimension is HALF else replace(settings, half="")
            variants = {one: (source, replace(own, **{dimension.name: one})) for one in values}
            worth = remembered(
                cache, [*about, dimension.name, str(own)], values, partial(value_of, types, variants, wanted)
            )
            best = winner_of(worth)
        settings = replace(settings, **{dimension.name: best})
        tried.append(Tried(dimension.name, {str(one): found for one, found in worth.items()}, str(best)))
    return settings, tuple(tried)


def remembered(
    cache: Cache | None, about: Sequence[Any], values: Sequence[Any], find: Callable[[], Mapping[Any, float]]
) -> dict[Any, float]:
    """What each value is worth: as it is kept under all that this depends on, or found now and kept."""
    if cache is None:
        return dict(find())
    keys = {one: json.dumps(["network", *about, str(one)]) for one in values}
    known = cache.known()
    if not all(key in known for key in keys.values()):
        worth = find()
        cache.add(Measurement(keys[one], max(worth[one], _LEAST), 0.0, 1) for one in values if isfinite(worth[one]))
        return dict(worth)
    return {one: known[key].seconds for one, key in keys.items()}


def winner_of(worth: Mapping[Any, float]) -> Any:
    """The best of some values, unless it is hardly better than the first, which the planner has by itself."""
    best = min(worth, key=worth.__getitem__)
    usual = next(iter(worth))
    return best if worth[best] < _MARGIN * worth[usual] else usual


def value_of(
    types: Mapping[str, TensorType], variants: Mapping[Any, tuple[Graph, Settings]], wanted: Objective
) -> dict[Any, float]:
    """What the planner's own plan is worth, of each model under its settings."""
    random = np.random.default_rng(0)
    feeds = {name: random.standard_normal(known.static_shape).astype(np.float32) for name, known in types.items()}
    plans, runs = {}, {}
    for one, (source, settings) in variants.items():
        form = Form.of(source, types, settings.options, settings.half)
        plans[one] = form.sealed(build_plan(form.graph, target(settings.threads), settings.options))
        session = InferenceSession(source, threads=settings.threads, plan=plans[one])
        runs[str(one)] = lambda session=session: session.run(None, feeds)
    seconds = {name: np.asarray(found) for name, found in times_in_turn(runs, rounds=_ROUNDS).items()}
    base, usual = next(iter(seconds.values())), next(iter(plans.values()))
    least = float(np.median(base))
    sure = {one: float(np.quantile(seconds[str(one)] / base, _ROUNDS_WON)) * least for one in plans}
    return {one: wanted.of_plan(sure[one], plan, (least, usual)) for one, plan in plans.items()}


def _errors(
    source: Graph, types: Mapping[str, TensorType], calibrator: Calibrator, policies: Collection[str]
) -> dict[Any, float]:
    """For each policy, the squared error of the outputs over their squares."""
    (x,) = calibrator.feeds.values()
    graphs = {policy: calibrator.quantize((), Method(policy)).graph for policy in policies}
    sessions = {policy: InferenceSession(graph, threads=calibrator.threads) for policy, graph in graphs.items()}
    return _noise(InferenceSession(source, threads=calibrator.threads), sessions, types, x)


def usable_halves(
    source: Graph,
    types: Mapping[str, TensorType],
    halves: Sequence[str],
    x: Array,
    threads: int,
    cache: Cache | None = None,
) -> tuple[str, ...]:
    """Those of the 16-bit types in which the outputs for samples stay near those in fp32."""

    def find() -> Mapping[str, float]:
        sessions = {half: InferenceSession(source, threads=threads, precision=half) for half in halves}
        return _noise(InferenceSession(source, threads=threads), sessions, types, x)

    noise = remembered(cache, [model_key(source), "noise", digest_of([x[:_SAMPLES]])], halves, find)
    return tuple(half for half in halves if noise[half] < _NOISE)


def _noise(
    exact: InferenceSession, others: Mapping[Any, InferenceSession], types: Mapping[str, TensorType], x: Array
) -> dict[Any, float]:
    """For each of the others, the squared error of its outputs over the exact ones' squares."""
    (name,) = types
    batch = types[name].static_shape[0]
    whole = range(0, min(len(x), _SAMPLES) - batch + 1, batch)

    def outputs(session: InferenceSession) -> Array:
        return np.concatenate([session.run(None, {name: x[at : at + batch]})[0] for at in whole]).astype(np.float64)

    expected = outputs(exact)
    energy = max(float(np.square(expected).sum()), _LEAST)
    with np.errstate(all="ignore"):
        return {one: float(np.square(outputs(session) - expected).sum()) / energy for one, session in others.items()}
