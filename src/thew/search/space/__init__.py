"""The design space: one dimension a file. A new file and a line here add one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any

from thew.errors import InputError
from thew.plan.alternatives import Alternative
from thew.search.space.algorithm import ALGORITHM
from thew.search.space.blocking import BLOCKING
from thew.search.space.calibration import CALIBRATION
from thew.search.space.depth_first import DEPTH_FIRST
from thew.search.space.dimension import LEVELS, LayerDimension, NetworkDimension, Settings
from thew.search.space.folding import FOLDING
from thew.search.space.fusion import FUSION
from thew.search.space.half import HALF
from thew.search.space.layout import LAYOUT
from thew.search.space.precision import PRECISION
from thew.search.space.pruning import PRUNING
from thew.search.space.row import ROW
from thew.search.space.threads import THREADS
from thew.search.space.tile import TILE
from thew.search.space.weights import WEIGHTS

OF_LAYERS: tuple[LayerDimension, ...] = (PRECISION, ALGORITHM, LAYOUT, ROW, TILE, BLOCKING, THREADS)
OF_NETWORKS: tuple[NetworkDimension, ...] = (
    PRUNING,
    WEIGHTS,
    FOLDING,
    FUSION,
    DEPTH_FIRST,
    CALIBRATION,
    HALF,
)


def check_levels(levels: Sequence[str]) -> frozenset[str]:
    """The levels that are searched. Raises InputError for what is none."""
    if not levels or set(levels) - set(LEVELS):
        raise InputError(f"levels: must be among {', '.join(LEVELS)}, got {tuple(levels)}")
    return frozenset(levels)


def describe(
    alternatives: Mapping[str, Sequence[Alternative]], settings: Settings, has: Collection[str]
) -> list[dict[str, Any]]:
    """Every dimension with its level, what it is chosen for, and its values here."""
    of_networks = [(one.name, one.level, "network", one.free(settings, has), one.summary) for one in OF_NETWORKS]
    of_layers = [(one.name, one.level, "layer", one.values(alternatives), one.summary) for one in OF_LAYERS]
    fields = ("name", "level", "of", "values", "summary")
    return [dict(zip(fields, row, strict=True)) for row in (*of_networks, *of_layers)]


def size_of(alternatives: Mapping[str, Sequence[Alternative]], settings: Settings, has: Collection[str]) -> float:
    """How many plans the space has."""
    layers = prod(len(ways) for ways in alternatives.values())
    return float(layers * prod(len(one.free(settings, has)) for one in OF_NETWORKS))


__all__ = ["LEVELS", "OF_LAYERS", "OF_NETWORKS", "Settings", "check_levels", "describe", "size_of"]
