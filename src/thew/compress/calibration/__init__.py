"""How a range is chosen from what a value was seen to be: one policy a file, each a function of a histogram."""

from __future__ import annotations

from collections.abc import Callable

from thew.compress.calibration.entropy import entropy
from thew.compress.calibration.histogram import Histogram
from thew.compress.calibration.minmax import minmax
from thew.compress.calibration.mse import mse
from thew.compress.calibration.percentile import percentile
from thew.errors import InputError

Policy = Callable[[Histogram], tuple[float, float]]
POLICIES: dict[str, Policy] = {"minmax": minmax, "percentile": percentile, "entropy": entropy, "mse": mse}

__all__ = ["POLICIES", "Histogram", "Policy", "policy_of"]


def policy_of(name: str) -> Policy:
    """The policy of this name. Raises InputError."""
    if name not in POLICIES:
        raise InputError(f"calibration: must be one of {', '.join(POLICIES)}, got {name!r}")
    return POLICIES[name]
