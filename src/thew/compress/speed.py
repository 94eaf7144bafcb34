"""Which layers are faster on integers, on this machine: timed layer by layer, and decided by whole networks in turn.

A layer's own time does not tell what the conversions at its borders cost, so a layer goes back to floats only where the
network as a whole gets faster for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from thew.compress.observe import Progress, silent
from thew.compress.post_training import DEFAULT_METHOD, Calibrator, Method, Quantized
from thew.compress.samples import Feeds
from thew.passes.quantisable import Layer
from thew.runtime.session import InferenceSession

ROUNDS = 15
_FASTER = 1.01  # what a change must bring to be taken
_MOST_TRIALS = 24


@dataclass(frozen=True)
class LayerTime:
    """Times of layers that run together in either form, one or a chain.

    Attributes:
        keys: the layers.
        float_seconds: on floats.
        integer_seconds: on integers.
    """

    keys: tuple[str, ...]
    float_seconds: float
    integer_seconds: float

    @property
    def loss(self) -> float:
        """Seconds that integers take longer."""
        return self.integer_seconds - self.float_seconds


@dataclass(frozen=True)
class Timing:
    """What a choice of layers by speed is based on.

    Attributes:
        float_seconds: the float network, whole.
        integer_seconds: the network with all allowed layers on integers.
        chosen_seconds: the network that was chosen.
        layers: times layer by layer.
    """

    float_seconds: float
    integer_seconds: float
    chosen_seconds: float
    layers: tuple[LayerTime, ...]


def race(sessions: Mapping[str, InferenceSession], feeds: Feeds, rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of sessions that are run in turn."""
    samples: dict[str, list[float]] = {name: [] for name in sessions}
    for session in sessions.values():
        session.run(None, feeds)
    for _ in range(rounds):
        for name, session in sessions.items():
            started = perf_counter()
            session.run(None, feeds)
            samples[name].append(perf_counter() - started)
    return {name: float(np.median(values)) for name, values in samples.items()}


def layer_times(
    calibrator: Calibrator, quantized: Quantized, threads: int = 1, rounds: int = ROUNDS
) -> list[LayerTime]:
    """Times of every layer in the float and in the quantised network, taken in turn; the fastest of each counts."""
    sessions = [InferenceSession(graph, threads=threads) for graph in (calibrator.graph, quantized.graph)]
    feeds = one_sample(calibrator)
    shapes = {name: array.shape for name, array in feeds.items()}
    found: list[dict[str, float]] = [{}, {}]
    for _ in range(rounds):
        for times, session in zip(found, sessions, strict=True):
            for row in session.explain(shapes, rounds=1).rows:
                times[row.layer] = min(times.get(row.layer, np.inf), row.seconds or 0.0)
    known = calibrator.layers
    groups = _groups(known, [name for times in found for name in times])
    members = {key: position for position, group in enumerate(groups) for key in group}
    sums = np.zeros((len(groups), 2))
    for column, times in enumerate(found):
        for name, seconds in times.items():
            place = next((members[key] for key in name.split(" → ") if key in members), None)
            if place is not None:
                sums[place, column] += seconds
    return [LayerTime(group, *map(float, row)) for group, row in zip(groups, sums, strict=True)]


def keep_faster(
    calibrator: Calibrator,
    method: Method = DEFAULT_METHOD,
    kept: Collection[str] = (),
    threads: int = 1,
    progress: Progress = silent,
) -> tuple[Quantized, Timing]:
    """The quantised network, with those layers on floats for which it is faster on this machine.

    Args:
        calibrator: the float network.
        method: how layers are quantised.
        kept: keys of layers that stay float in any case.
        threads: workers.
        progress: called with what is done, how much of it, and of how much.
    """
    feeds = one_sample(calibrator)
    whole = calibrator.quantize(kept, method)
    times = layer_times(calibrator, whole, threads)
    slower = sorted((time for time in times if time.loss > 0), key=lambda time: -time.loss)[:_MOST_TRIALS]
    runner = InferenceSession(whole.graph, threads=threads)
    best, session, current = whole, runner, frozenset(kept)
    trials = [frozenset(key for time in slower for key in time.keys), *(frozenset(time.keys) for time in slower)]
    for number, change in enumerate(dict.fromkeys(trials)):
        progress("comparing", number, len(trials))
        if not change:
            continue
        wanted = current ^ (change - frozenset(kept)) if number else current | change
        candidate = calibrator.quantize(wanted, method)
        rival = InferenceSession(candidate.graph, threads=threads)
        seconds = race({"now": session, "then": rival}, feeds)
        if seconds["now"] > _FASTER * seconds["then"]:
            best, session, current = candidate, rival, wanted
    sessions = {"float": InferenceSession(calibrator.graph, threads=threads), "whole": runner, "chosen": session}
    final = race(sessions, feeds)
    if final["float"] < final["chosen"]:
        best = calibrator.quantize(tuple(calibrator.layers), method)
        final["chosen"] = final["float"]
    return best, Timing(final["float"], final["whole"], final["chosen"], tuple(times))


def one_sample(calibrator: Calibrator) -> Feeds:
    """The first sample, or as many as the model takes at a time."""
    declared = [value.type.shape[0] for value in calibrator.graph.inputs if value.type.shape]
    count = next((extent for extent in declared if isinstance(extent, int)), 1)
    return {name: array[:count] for name, array in calibrator.feeds.items()}


def _groups(known: Mapping[str, Layer], names: list[str]) -> list[tuple[str, ...]]:
    """Layers that run as one step in either network; a sum goes with the layer before it, into which it is fused."""
    leader = {key: key for key in known}

    def find(key: str) -> str:
        while leader[key] != key:
            key = leader[key]
        return key

    by_result = {layer.result: key for key, layer in known.items()}
    for key, layer in known.items():
        before = [by_result[name] for name in layer.operands if name in by_result]
        if not layer.weight and before:
            leader[find(key)] = find(max(before, key=list(known).index))
    for name in names:
        chain = [key for key in name.split(" → ") if key in known]
        for key in chain[1:]:
            leader[find(key)] = find(chain[0])
    groups: dict[str, list[str]] = {}
    for key in known:
        groups.setdefault(find(key), []).append(key)
    return [tuple(group) for group in groups.values()]
