"""Whether biases, residuals and activations are computed by the kernel before them."""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

FUSION = NetworkDimension("fusion", "network", "epilogues fused into kernels", lambda settings: (True, False))
