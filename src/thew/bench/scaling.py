"""How data-parallel training scales: a model of a step on many ranks, and what it is held against.

A step computes as long as it does alone; its sums over ranks take, each, what Thakur, Rabenseifner and Gropp (2005)
give for the better of two algorithms on a network where a message of m bytes takes α + m / β:

    recursive doubling   ⌈log₂ R⌉ · (α + s / β)
    reduce-scatter and allgather   2 ⌈log₂ R⌉ · α + 2 (R − 1) / R · s / β

A bucket's sum begins when its gradients are there and the one before it has ended; where the network moves data by
itself it runs beside the rest of the backward pass, elsewhere the core that computes moves it, and the times add up.
Batch norms' sums stand still for everybody. All ranks wait for the slowest: for R draws of a deviation σ, σ √(2 ln R)
later than the mean (the largest of R normal numbers).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, log, log2, prod, sqrt
from statistics import median, pstdev
from typing import Any

import numpy as np

from thew.dtypes import size_bytes
from thew.errors import UnsupportedError
from thew.ir.graph import Array
from thew.ops.collective import BEGIN, END
from thew.plan import Step
from thew.plan.collective import PROGRESS
from thew.runtime.executable import NativeStage
from thew.train.exchange import Exchange
from thew.train.parallel import DataParallel, Group
from thew.train.trainer import Trainer

SIZES = (8, 1 << 12, 1 << 16, 1 << 20, 4 << 20)  # bytes of the sums that measure a network


@dataclass(frozen=True)
class Network:
    """α, β, and whether data move without the cores that compute."""

    latency_seconds: float
    bytes_per_second: float
    offloads: bool = True

    def sum_seconds(self, size: float, ranks: int) -> float:
        """A sum of so many bytes over so many ranks."""
        if ranks == 1:
            return 0.0
        turns, byte = ceil(log2(ranks)), 1 / self.bytes_per_second
        doubling = turns * (self.latency_seconds + size * byte)
        scattered = 2 * turns * self.latency_seconds + 2 * (ranks - 1) / ranks * size * byte
        return min(doubling, scattered)


@dataclass(frozen=True)
class Compute:
    """A step without its communication.

    Attributes:
        seconds: of the step alone.
        backward_seconds: from its begin to where the first sum is waited for.
        deviation_seconds: of a step's time.
        buckets: (seconds from the step's begin to the sum's, bytes) of every sum that others overlap.
        waits: bytes of the sums that nothing overlaps, batch norms'.
    """

    seconds: float
    backward_seconds: float
    deviation_seconds: float
    buckets: tuple[tuple[float, int], ...]
    waits: tuple[int, ...]

    def step_seconds(self, network: Network, ranks: int) -> float:
        """What a step of so many ranks takes."""
        late = self.deviation_seconds * sqrt(2 * log(ranks))
        still = sum(network.sum_seconds(size, ranks) for size in self.waits)
        sums = [(ready, network.sum_seconds(size, ranks)) for ready, size in self.buckets]
        if not network.offloads:
            return self.seconds + still + sum(seconds for _, seconds in sums) + late
        free = 0.0
        for ready, seconds in sums:
            free = max(free, ready) + seconds
        return max(self.backward_seconds, free) + self.seconds - self.backward_seconds + still + late


def pretended(how: DataParallel, ranks: int = 2) -> Group:
    """A group in whose steps all is done but the communication."""
    group = Group()
    compression = "" if how.compression == "none" else how.compression
    group.exchange = Exchange(ranks, how.bucket_bytes, compression, how.sync_batch_norm)
    group.calls = dict.fromkeys((BEGIN, END, PROGRESS), lambda *_: None)
    return group


def compute_of(trainer: Trainer, x: Array, y: Array, rounds: int) -> Compute:
    """Measures a trainer whose group is `pretended`. Raises UnsupportedError where its step is not one plan."""
    trainer.step(x, y)
    prepared = trainer._planned()
    stage = prepared.executable.single
    if stage is None:
        raise UnsupportedError(
            "bench scaling: a step must be one native plan, got several; leave out what has no kernel"
        )
    feeds = (trainer._samples(x), trainer._targets(x, y), *prepared.numbers)
    runs = [_profiled(stage, feeds) for _ in range(rounds)]
    totals = [sum(run) for run in runs]
    ends = np.cumsum([median(column) for column in zip(*runs, strict=True)])
    steps = stage.plan.steps
    slots = [step.name.partition(":")[2] for step in steps]
    overlapped = [i for i, step in enumerate(steps) if step.op == BEGIN and slots[i] != "0"]
    first_end = next(i for i, step in enumerate(steps) if step.op == END and slots[i] != "0")
    waits = tuple(_bytes(step) for i, step in enumerate(steps) if step.op == BEGIN and slots[i] == "0")
    buckets = tuple((float(ends[i]), _bytes(steps[i])) for i in overlapped)
    return Compute(float(ends[-1]), float(ends[first_end]), pstdev(totals), buckets, waits)


def _profiled(stage: NativeStage, feeds: Sequence[Array]) -> list[float]:
    outputs = [np.empty(shape, dtype) for shape, dtype in stage.results]
    return stage.program.profile((*feeds, *outputs))


def _bytes(step: Step) -> int:
    (view,) = step.outputs
    return prod(view.shape) * size_bytes(view.dtype)


@dataclass(frozen=True)
class Measured:
    """Rounds of a job: seconds of a step of one rank alone, of all at once but each for itself, and of all together."""

    alone: tuple[float, ...]
    apart: tuple[float, ...]
    together: tuple[float, ...]

    def to_dict(self, ranks: int) -> dict[str, Any]:
        """All times, and the medians over rounds of what a round says: `speedup` counts samples a second."""
        rounds = list(zip(self.alone, self.apart, self.together, strict=True))
        return {
            **asdict(self),
            "speedup": median(ranks * alone / together for alone, _, together in rounds),
            "speedup_without_communication": median(ranks * alone / apart for alone, apart, _ in rounds),
            "communication_seconds": median(together - apart for _, apart, together in rounds),
        }


def measure(single: Trainer, parallel: Trainer, x: Array, y: Array, rounds: int) -> Measured:
    """Interleaves the three in a job of several ranks; a rank that has no turn sleeps."""
    group = parallel.group
    found: list[list[float]] = [[], [], []]
    for trainer in (single, parallel):
        trainer.step(x, y)
    for _ in range(rounds):
        for place, (trainer, everybody) in enumerate(((single, False), (single, True), (parallel, True))):
            group.meet()
            began = time.perf_counter()
            if everybody or group.rank == 0:
                trainer.step(x, y)
            seconds = time.perf_counter() - began
            group.meet()
            found[place].append(max(group.gathered(seconds)) if everybody else group.gathered(seconds)[0])
    alone, apart, together = map(tuple, found)
    return Measured(alone, apart, together)


def measure_network(group: Group, rounds: int = 20) -> Network:
    """α and β of this job's ranks, as sums see them; the cores move the data where ranks share a machine."""
    seconds = []
    for size in SIZES:
        buffer = memoryview(bytearray(size))
        times = []
        for _ in range(rounds):
            group.meet()
            began = time.perf_counter()
            group.calls[BEGIN](f"{BEGIN}:0", "fp32", buffer)
            group.calls[END](f"{END}:0", "fp32", buffer)
            times.append(time.perf_counter() - began)
        seconds.append(max(group.gathered(min(times))))
    turns = ceil(log2(group.size))
    byte = (seconds[-1] - seconds[0]) / (2 * (group.size - 1) / group.size * SIZES[-1])
    return Network(seconds[0] / turns, 1 / byte, offloads=False)
