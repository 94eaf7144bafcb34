"""The number of threads, up to what the plan may use: small networks do not always gain from the last one."""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

THREADS = NetworkDimension(
    "threads", "implementation", "workers", lambda settings: tuple(range(settings.threads, 0, -1)), "threads"
)
