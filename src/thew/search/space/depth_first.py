"""Whether chains of layers may run depth first, a strip of rows at a time. Where they may, each chain is also tried
apart and in lower and higher strips: `thew.search.chains`.
"""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

DEPTH_FIRST = NetworkDimension(
    "depth_first", "implementation", "chains of layers by strips of rows", lambda settings: (True, False)
)
