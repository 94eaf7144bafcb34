"""The blocking of matrix products: fitted to this machine's caches, or that of a small generic core."""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

BLOCKING = NetworkDimension(
    "blocking", "implementation", "loops cut to this machine's caches", lambda settings: ("fitted", "generic")
)
