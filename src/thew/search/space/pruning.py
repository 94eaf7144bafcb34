"""What layers lose of their weights: a share of channels, for which the network is rewritten smaller; all but n of
every m inputs, or a share of blocks, which kernels leave out. It is trained on where that is asked for.
"""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

PRUNING = NetworkDimension(
    "pruning", "network", "channels, blocks or patterns pruned", lambda settings: (0.0, *settings.prunings)
)
