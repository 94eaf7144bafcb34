"""How the ranges of activations are chosen from what was seen of them, where layers run on integers."""

from __future__ import annotations

from thew.compress.calibration import POLICIES
from thew.search.space.dimension import NetworkDimension

CALIBRATION = NetworkDimension(
    "calibration", "network", "policy for ranges of activations", lambda settings: tuple(POLICIES), "integers"
)
