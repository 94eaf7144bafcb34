"""Data parallelism: the processes of an MPI job train one model, each on its part of every batch.

A `Group` is the job as training sees it. That of one process does nothing. That of several speaks MPI through mpi4py,
which is imported only then: `mpirun -n 4 thew train …`, or `Trainer(distributed=True)` in a script that mpirun starts.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thew.errors import InputError, UnsupportedError
from thew.ir import GraphBuilder
from thew.ir.graph import Array
from thew.ops.collective import BEGIN, END
from thew.plan.collective import PROGRESS
from thew.runtime.device import target
from thew.runtime.executable import Executable, NativeStage, Settings
from thew.runtime.native import Code
from thew.train.exchange import Exchange

COMPRESSIONS = ("none", "fp16", "bf16")
# What launchers tell each process: the number of them all.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS")
# Open MPI's own choice, a binomial tree, moves every byte to one rank and back: 31 ms for the 37 MB of VGG11's
# gradients between two ranks, against 7.
_RABENSEIFNER = ("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3")


@dataclass(frozen=True)
class DataParallel:
    """How the processes of an MPI job train together.

    Attributes:
        compression: "fp16" or "bf16": gradients travel in 16 bits, which halves the bytes; "none": as they are.
        bucket_bytes: gradients that are summed at once. Small ones begin sooner, large ones use the network better.
        sync_batch_norm: whether batch norms take the statistics of the samples of all processes, as one process with
            the whole batch would; otherwise each its own.
    """

    compression: str = "none"
    bucket_bytes: int = 4 << 20
    sync_batch_norm: bool = True

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise InputError(
                f"DataParallel: compression must be one of {', '.join(COMPRESSIONS)}, got {self.compression!r}"
            )
        if self.bucket_bytes < 1:
            raise InputError(f"DataParallel: bucket_bytes must be at least 1, got {self.bucket_bytes}")


class Group:
    """Processes that train together: here this one alone."""

    rank, size = 0, 1
    exchange: Exchange | None = None
    calls: Mapping[str, Code] = {}

    def seed(self, seed: int) -> int:
        """A seed for draws in which processes must differ, such as dropout's."""
        return seed

    def broadcast(self, arrays: Iterable[Array]) -> None:
        """Gives the arrays of all processes the values of the first one's."""

    def meet(self) -> None:
        """Waits for the other processes, asleep."""

    def total(self, values: Sequence[float]) -> list[float]:
        """Each number summed over the processes."""
        return list(values)

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, in all of them."""
        return [value]

    def first_of(self, text: str) -> str:
        """The text of the first process that has one, in all of them."""
        return text

    def send(self, value: Any, rank: int) -> None:
        """Hands a value to another process, which need not wait for it yet."""

    def receive(self, rank: int) -> Any:
        """What another process sends next; waits asleep."""

    def abort(self, why: str) -> None:
        """Ends the other processes too, and this one, where there are others."""


class _MPIGroup(Group):
    """The processes of MPI's world."""

    def __init__(self, how: DataParallel) -> None:
        os.environ.setdefault(*_RABENSEIFNER)
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:  # mpi4py without a library of MPI raises the latter
            raise UnsupportedError(f"distributed: needs MPI; pip install 'thew[mpi]' ({error})") from error
        self._mpi: Any = MPI
        self._world = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        compression = "" if how.compression == "none" else how.compression
        if self.size > 1:
            self.exchange = Exchange(self.size, how.bucket_bytes, compression, how.sync_batch_norm)
        self.calls = {BEGIN: self._begin, END: self._end, PROGRESS: self._progress}
        self._pending: dict[str, Any] = {}
        self._sent: list[Any] = []  # what may not have been received yet
        self._kinds: dict[str, tuple[Any, int, Any]] = {  # datatype, bytes and operation
            "fp32": (MPI.FLOAT, 4, MPI.SUM),
            "fp64": (MPI.DOUBLE, 8, MPI.SUM),
        }
        if compression:
            self._kinds[compression] = (MPI.UINT16_T, 2, MPI.Op.Create(_half_sum(compression), commute=True))
        if self.size > 1:
            _abort_on_uncaught(self)

    # What a step calls

    def _begin(self, name: str, dtype: str, memory: Any) -> None:
        datatype, size, operation = self._kinds[dtype]
        buffer = [memory, memory.nbytes // size, datatype]
        self._pending[_slot(name)] = self._world.Iallreduce(self._mpi.IN_PLACE, buffer, operation)

    def _end(self, name: str, dtype: str, memory: Any) -> None:
        self._pending.pop(_slot(name)).Wait()

    def _progress(self, name: str, dtype: str) -> None:
        for request in self._pending.values():
            request.Test()
            return  # testing one moves all

    # Between steps

    def seed(self, seed: int) -> int:
        """A seed of this process's own."""
        return (seed + self.rank * 0x9E3779B97F4A7C15) & (2**63 - 1)

    def broadcast(self, arrays: Iterable[Array]) -> None:
        """Array by array."""
        for array in arrays:
            self._world.Bcast([array, array.nbytes, self._mpi.BYTE], 0)

    def meet(self) -> None:
        """Looks every half millisecond: who waits leaves the cores alone."""
        request = self._world.Ibarrier()
        while not request.Test():
            time.sleep(0.0005)

    def total(self, values: Sequence[float]) -> list[float]:
        """In fp64."""
        buffer = np.array(values, np.float64)
        self._world.Allreduce(self._mpi.IN_PLACE, buffer)
        return [float(value) for value in buffer]

    def gathered(self, value: Any) -> list[Any]:
        """Each value pickled."""
        found: list[Any] = self._world.allgather(value)
        return found

    def first_of(self, text: str) -> str:
        """One small sum where none has one."""
        if not self.total([bool(text)])[0]:
            return ""
        return str(next(found for found in self.gathered(text) if found))

    def send(self, value: Any, rank: int) -> None:
        """Pickled."""
        self._sent = [request for request in self._sent if not request.Test()]
        self._sent.append(self._world.isend(value, rank))

    def receive(self, rank: int) -> Any:
        """Looks every fifth of a millisecond."""
        while not self._world.iprobe(rank):
            time.sleep(0.0002)
        return self._world.recv(source=rank)

    def abort(self, why: str) -> None:
        """Says why, and ends the job."""
        if self.size > 1:
            print(f"thew: rank {self.rank} of {self.size}: {why}; the job ends", file=sys.stderr, flush=True)
            self._world.Abort(1)


def launched_size() -> int:
    """How many processes the launcher of this one has started, 1 where there is none."""
    sizes = (os.environ.get(name, "") for name in _SIZES)
    return next((int(size) for size in sizes if size.isdigit()), 1)


def group_of(distributed: bool | DataParallel | Group) -> Group:
    """The group that an argument `distributed` asks for, or is."""
    if isinstance(distributed, Group):
        return distributed
    if distributed is False:
        return Group()
    return _MPIGroup(DataParallel() if distributed is True else distributed)


def _slot(name: str) -> str:
    return name.partition(":")[2]


def _abort_on_uncaught(group: Group) -> None:
    """What nobody catches ends the whole job: the others would wait for this process for ever."""
    before: Callable[..., Any] = sys.excepthook

    def hook(kind: Any, error: BaseException, trace: Any) -> None:
        before(kind, error, trace)
        group.abort(f"{kind.__name__}: {error}")

    sys.excepthook = hook


def _half_sum(dtype: str) -> Callable[[Any, Any, Any], None]:
    """The sum of two buffers of 16-bit numbers as MPI calls it, each sum rounded once."""
    runs = [(size, _sum_of(dtype, size)) for size in (1 << 16, 1 << 11, 1 << 6, 1)]

    def add(left: Any, right: Any, datatype: Any) -> None:
        a, b = (np.frombuffer(buffer, np.uint16) for buffer in (left, right))
        at = 0
        for size, run in runs:
            while len(a) - at >= size:
                part = b[at : at + size]
                run((a[at : at + size], part, part), 2)
                at += size

    return add


def _sum_of(dtype: str, size: int) -> Callable[[tuple[Array, ...], int], None]:
    builder = GraphBuilder("sum")
    terms = [builder.node("cast", [builder.input(name, dtype, (size,))], to="fp32") for name in ("a", "b")]
    graph = builder.graph([builder.node("cast", [builder.node("add", terms)], "total", to=dtype)])
    (stage,) = Executable(graph, {value.name: value.type for value in graph.inputs}, Settings(target(1))).stages
    assert isinstance(stage, NativeStage)
    return stage.program.run
