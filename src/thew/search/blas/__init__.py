"""What published results are compared with: a network in fp32 on BLAS, without any of Thew's kernels or plans."""

from __future__ import annotations

from thew.search.blas.network import BlasNetwork
from thew.search.blas.sgemm import find_sgemm

__all__ = ["BlasNetwork", "find_sgemm"]
