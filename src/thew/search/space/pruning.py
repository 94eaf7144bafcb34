"""The share of channels that layers lose: the network is rewritten smaller, and trained on where that is asked for."""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

PRUNING = NetworkDimension(
    "pruning", "network", "share of channels that are pruned", lambda settings: (0.0, *settings.prunings)
)
