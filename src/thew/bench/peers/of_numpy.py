"""NumPy, that is the BLAS it was built with (OpenBLAS in the usual wheels)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.tasks import MatmulTask, Task

VERSION_OF = ("numpy",)


def environment(threads: int) -> Mapping[str, str]:
    """Every BLAS it may have been built with."""
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return dict.fromkeys(variables, str(threads))


def prepare(task: Task) -> Ready | None:
    """`numpy.matmul` into an array that is there."""
    if not isinstance(task, MatmulTask):
        return None
    feeds = task.feeds()
    out = np.empty((task.m, task.n), feeds["a"].dtype)
    return Ready(lambda: [np.matmul(feeds["a"], feeds["b"], out=out)], {"blas": _blas()})


def _blas() -> str:
    try:
        configuration: Any = np.show_config(mode="dicts")
        found = configuration["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (TypeError, KeyError):
        return "unknown"
