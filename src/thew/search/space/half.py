"""The 16-bit type that layers may compute in: a plan has one, and its layers that or fp32 or integers."""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

HALF = NetworkDimension(
    "half", "network", "16-bit type that layers may compute in", lambda settings: settings.halves or ("",)
)
