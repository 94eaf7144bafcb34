"""The number of threads of a layer, up to the plan's: small layers lose more by waiting for others than these gain."""

from __future__ import annotations

from thew.search.space.dimension import LayerDimension

THREADS = LayerDimension(
    "threads", "implementation", "threads that run a layer, of the plan's", lambda way: str(way.choice.threads)
)
