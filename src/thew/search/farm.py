"""Measurements farmed out: layers are measured by the workers of an executor, each by one worker at a time.

Any `concurrent.futures.Executor` whose workers are alone on a board of the same kind will do, above all
`mpi4py.futures.MPIPoolExecutor`: phase one then shrinks with the number of boards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed

from thew.errors import InputError, UnsupportedError
from thew.runtime.cache import Measurement
from thew.runtime.device import device_key
from thew.search.measure import Trial, kernels_version, measure_layer

Found = tuple[list[Measurement], list[str]]


def measured_by(
    farm: Executor, layers: Sequence[Sequence[Trial]], near: Mapping[str, float]
) -> Iterator[tuple[Sequence[Trial], Found]]:
    """The measurements of each layer, as they come.

    Raises:
        InputError: a worker is no device of this kind, or has other kernels.
    """
    here = _here()
    futures = {farm.submit(_measured, layer, _of(near, layer)): layer for layer in layers}
    try:
        for future in as_completed(futures):
            there, found = future.result()
            if there != here:
                raise InputError(
                    f"farm: all workers must be {here[0]} with kernels {here[1]}, got {there[0]} with {there[1]}; "
                    "search for each kind of device apart"
                )
            yield futures[future], found
    finally:
        for future in futures:
            future.cancel()


def _measured(layer: Sequence[Trial], near: Mapping[str, float]) -> tuple[tuple[str, str], Found]:
    """In a worker: which device it is, and what it measured."""
    return _here(), measure_layer(layer, near)


def _here() -> tuple[str, str]:
    return device_key(), kernels_version()


def _of(near: Mapping[str, float], layer: Sequence[Trial]) -> dict[str, float]:
    return {trial.key: near[trial.key] for trial in layer if trial.key in near}


def mpi_farm() -> Executor:
    """The other processes of this MPI job: ``mpiexec -n 5 python -m mpi4py.futures -m thew search … --farm``.

    Raises:
        UnsupportedError: mpi4py is not installed, or this process is alone.
    """
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor
    except (ImportError, RuntimeError) as error:  # without a library of MPI mpi4py raises the latter
        raise UnsupportedError(
            "farm: needs mpi4py and an MPI library; pip install 'thew[mpi]', and start under mpiexec"
        ) from error
    if MPI.COMM_WORLD.Get_size() < 2:
        raise UnsupportedError(
            "farm: must have workers, got one process; start mpiexec -n N python -m mpi4py.futures -m thew search …"
        )
    made: Executor = MPIPoolExecutor()
    return made
