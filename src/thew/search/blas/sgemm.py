"""OpenBLAS's single-precision matrix product: of the wheel `scipy-openblas32` (extra `bench`), else through NumPy.

Calls are bound to their arrays once: c = a·b for C-contiguous fp32 matrices. No time goes into Python's view of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thew.ir.graph import Array

_ROW_MAJOR, _AS_IT_IS = 101, 111


@dataclass(frozen=True)
class Sgemm:
    """A matrix product.

    Attributes:
        name: of the library, with its version.
        bind: for matrices a (m, k), b (k, n) and c (m, n), a call that computes c = a·b.
    """

    name: str
    bind: Callable[[Array, Array, Array], Callable[[], object]]


def find_sgemm(threads: int) -> Sgemm:
    """OpenBLAS on so many threads; NumPy's own BLAS, on as many as that is set to, where the wheel is not installed."""
    try:
        import scipy_openblas32
    except ImportError:
        return Sgemm(f"NumPy {np.__version__}", lambda a, b, c: lambda: np.matmul(a, b, out=c))
    library = scipy_openblas32.dll
    library.scipy_openblas_set_num_threads(ctypes.c_int(threads))
    product = library.scipy_cblas_sgemm
    product.restype = None

    def bind(a: Array, b: Array, c: Array) -> Callable[[], object]:
        (m, k), n = a.shape, b.shape[1]
        extents = [ctypes.c_int(extent) for extent in (m, n, k)]
        _, columns, depth = extents
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        at_a, at_b, at_c = (ctypes.c_void_p(matrix.ctypes.data) for matrix in (a, b, c))
        order = (_ROW_MAJOR, _AS_IT_IS, _AS_IT_IS)
        arguments = (*order, *extents, one, at_a, depth, at_b, columns, zero, at_c, columns)

        def call() -> tuple[Array, ...]:
            product(*arguments)
            return a, b, c  # which so stay alive

        return call

    return Sgemm(f"OpenBLAS {scipy_openblas32.__version__}", bind)
