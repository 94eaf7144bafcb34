"""What dense layers hold their weights as while they compute in floats: floats, or 8-bit integers with steps."""

from __future__ import annotations

from thew.search.space.dimension import NetworkDimension

WEIGHTS = NetworkDimension(
    "weights", "network", "dense layers' weights, under floats", lambda settings: ("fp32", "int8"), "dense weights"
)
