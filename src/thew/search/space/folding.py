"""Whether batch norms become part of the weights before them."""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

FOLDING = NetworkDimension(
    "folding", "network", "batch norms folded into weights", lambda settings: (True, False), "batch norms"
)
