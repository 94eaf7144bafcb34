"""Whole networks tried on the device: their times, taken in turn beside the default plan and BLAS, and their accuracy
on samples that were set apart for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from thew.compress.accuracy import Accuracy, Data, keeps_accuracy, right_answers
from thew.compress.observe import Progress
from thew.errors import InputError
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
from thew.plan import Plan
from thew.runtime.energy.meter import EnergyMeter
from thew.runtime.session import InferenceSession
from thew.search.blas import BlasNetwork
from thew.search.result import Point

BLAS, DEFAULT = "BLAS fp32", "default"
_ROUNDS = 15
_TURN_SECONDS = 5e-3  # of one network in one round
_SETTLE_SECONDS = 0.12  # OpenBLAS's threads wait for more work as long, taking their cores from whoever is next
_ENERGY_SECONDS = 1.0
_SHARES = (0.2, 0.4)  # of the samples: for calibration, for the search; the rest confirms


@dataclass(frozen=True)
class Network:
    """A model as it is to run: the graph that a session takes, and its plan."""

    graph: Graph
    plan: Plan


@dataclass(frozen=True)
class Samples:
    """The user's samples in three parts that share none: quantisation is calibrated on the first, the search asks the
    second whether accuracy stays in bounds, and the third confirms what was found.
    """

    calibration: Data
    search: Data
    confirmation: Data

    @staticmethod
    def split(data: Data, seed: int) -> Samples:
        """The parts, at random. Raises InputError for fewer than three samples."""
        count = len(data.x)
        if count < len(_SHARES) + 1:
            raise InputError(f"data: must be 3 samples or more, to calibrate, search and confirm on, got {count}")
        order = np.random.default_rng(seed).permutation(count)
        first = max(1, int(_SHARES[0] * count))
        second = max(first + 1, first + int(_SHARES[1] * count))
        return Samples(*(Data(data.x[part], data.y[part]) for part in np.split(order, (first, second))))


class Trials:
    """Tries whole networks.

    Args:
        model: as it was given, whose accuracy is the measure of all others.
        samples: None for no accuracy.
        types: of the inputs.
        threads: that BLAS gets, too.
    """

    def __init__(self, model: Graph, samples: Samples | None, types: Mapping[str, TensorType], threads: int) -> None:
        self.model, self.samples, self.types, self.threads = model, samples, types, threads
        self.blas = BlasNetwork(model, types, threads)
        self._references: dict[int, np.ndarray] = {}
        self._asked: dict[Hashable, tuple[bool, Accuracy]] = {}

    def session(self, network: Network | None) -> InferenceSession:
        """A session for a network; for the model itself where it is None."""
        if network is None:
            return InferenceSession(self.model, threads=self.threads)
        return InferenceSession(network.graph, threads=network.plan.threads, plan=network.plan)

    def keeps(self, network: Network, key: Hashable, most_drop: float) -> bool:
        """Whether accuracy on the search's samples stays within the bound. `key` is what accuracy depends on."""
        assert self.samples is not None
        if key not in self._asked:
            self._asked[key] = self.compare(network, self.samples.search, most_drop)
        return self._asked[key][0]

    def within(self, most_drop: float | None) -> Callable[[Network, Hashable], bool]:
        """`keeps` for a bound; for none, what asks nothing."""
        if most_drop is None:
            return lambda network, key: True
        return lambda network, key: self.keeps(network, key, most_drop)

    def compare(self, network: Network | None, data: Data, most_drop: float = 1.0) -> tuple[bool, Accuracy]:
        """Whether a network's accuracy stays within `most_drop` of the model's, and what was counted."""
        batch = next(iter(self.types.values())).static_shape[0]
        if id(data) not in self._references:
            self._references[id(data)] = right_answers(_runner(self.session(None)), data, batch)
        reference = self._references[id(data)]
        if network is None:
            return True, Accuracy(int(reference.sum()), len(reference))
        return keeps_accuracy(_runner(self.session(network)), data, batch, reference, most_drop)

    def in_place(self, network: Network) -> list[tuple[tuple[str, ...], float]]:
        """For each step of a network the names of the nodes that it runs, and its seconds in runs of the whole."""
        session = self.session(network)
        stage = session.prepare({value.name: value.type.static_shape for value in network.plan.inputs}).single
        if stage is None:
            return []
        given = self._inputs()
        arrays = [given[name] for name in stage.inputs]
        arrays += [np.empty(shape, dtype) for shape, dtype in stage.results]
        runs = np.asarray([stage.program.profile(tuple(arrays)) for _ in range(_ROUNDS + 1)][1:])
        names = [tuple(stage.name for stage in step.stages) or (step.name,) for step in network.plan.steps]
        return list(zip(names, map(float, np.median(runs, axis=0)), strict=True))

    def ratio(self, network: Network, usual: Network) -> float:
        """The time of a network as a share of the usual one's, in rounds of their own."""
        runs = self._runs({"found": network, DEFAULT: usual})
        del runs[BLAS]
        seconds = times_in_turn(runs, rounds=2 * _ROUNDS, settle_seconds=self._settle_seconds)
        return float(np.median(np.asarray(seconds["found"]) / np.asarray(seconds[DEFAULT])))

    def points(
        self,
        networks: Mapping[str, Network],
        estimates: Mapping[str, float],
        keys: Mapping[str, Hashable],
        progress: Progress,
        meter: EnergyMeter | None = None,
    ) -> dict[str, Point]:
        """Times all networks and BLAS in turn, asks for their accuracy where it is not known by the keys, and, with a
        meter, for their energy.
        """
        runs = self._runs(networks)
        settle = self._settle_seconds
        seconds = times_in_turn(runs, lambda number: progress("timing", number, _ROUNDS), settle_seconds=settle)
        base = np.asarray(seconds[DEFAULT])
        points: dict[str, Point] = {}
        for name, network in networks.items():
            progress("accuracy", len(points), len(networks))
            # The default computes what the model does.
            accuracy = self._accuracy(None if name == DEFAULT else network, keys.get(name))
            plan = network.plan
            # In seconds of the default's median, so that what slowed a round down slows nobody's result.
            relative = float(np.median(np.asarray(seconds[name]) / base)) * float(np.median(base))
            points[name] = Point(
                name,
                relative,
                estimates.get(name),
                plan.peak_memory_bytes,
                plan.packed_bytes + plan.constant_bytes,
                accuracy,
                None if meter is None else _joules(runs[name], meter),
            )
        blas = float(np.median(np.asarray(seconds[BLAS]) / base)) * float(np.median(base))
        points[BLAS] = Point(BLAS, blas, None, self.blas.memory_bytes, self.blas.weight_bytes, self._accuracy(None))
        return points

    def _accuracy(self, network: Network | None, key: Hashable = None) -> Accuracy | None:
        """On all samples of the search; None where there are none."""
        if self.samples is None:
            return None
        known = self._asked.get(key) if key is not None else None
        if known is not None and known[1].asked == len(self.samples.search.x):
            return known[1]
        return self.compare(network, self.samples.search)[1]

    @property
    def _settle_seconds(self) -> float:
        """Before each turn. One thread's core is nobody else's."""
        return _SETTLE_SECONDS if self.threads > 1 else 0.0

    def _inputs(self) -> dict[str, Array]:
        """A sample, or numbers by chance."""
        random = np.random.default_rng(0)
        inputs = {
            name: random.standard_normal(known.static_shape).astype(np.float32) for name, known in self.types.items()
        }
        if self.samples is not None and len(inputs) == 1:
            (name,) = inputs
            shape = inputs[name].shape
            inputs[name] = np.ascontiguousarray(np.resize(self.samples.search.x, shape).astype(np.float32))
        return inputs

    def _runs(self, networks: Mapping[str, Network]) -> dict[str, Callable[[], object]]:
        inputs = self._inputs()
        sessions = {name: self.session(network) for name, network in networks.items()}
        runs: dict[str, Callable[[], object]] = {
            name: lambda session=session: session.run(None, inputs)  # type: ignore[misc]
            for name, session in sessions.items()
        }
        runs[BLAS] = lambda: self.blas.run(inputs)
        return runs


def times_in_turn(
    runs: Mapping[str, Callable[[], object]],
    tick: Callable[[int], None] = lambda number: None,
    rounds: int = _ROUNDS,
    settle_seconds: float = 0.0,
) -> dict[str, list[float]]:
    """Seconds of one call in each round, everybody in turn, another first in each round. A call that is not timed
    brings back what the others have driven from the caches: a network that runs often is what is asked about. There are
    more such calls where threads of the one before may still wait for more. (A rest in their place does no good: for a
    while after one, two threads took here what one takes.)
    """
    calls, names = {}, list(runs)
    for name, run in runs.items():
        run()
        started = perf_counter()
        run()
        calls[name] = max(1, int(_TURN_SECONDS / max(perf_counter() - started, 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        tick(number)
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            run = runs[name]
            started = perf_counter()
            run()
            while perf_counter() - started < settle_seconds:
                run()
            started = perf_counter()
            for _ in range(calls[name]):
                run()
            seconds[name].append((perf_counter() - started) / calls[name])
    return seconds


def _joules(run: Callable[[], object], meter: EnergyMeter) -> float:
    """Joules of one call, what the machine takes while idle included."""
    first, started, calls = meter.mark(), perf_counter(), 0
    while perf_counter() - started < _ENERGY_SECONDS:
        run()
        calls += 1
    return meter.between(first, meter.mark()).joules / calls


def _runner(session: InferenceSession) -> Callable[[Array], Array]:
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]
