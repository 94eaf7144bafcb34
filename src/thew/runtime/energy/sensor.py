"""What every kind of sensor gives: a counter of joules, or watts of this moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thew.errors import SensorError


@dataclass(frozen=True, slots=True)
class Sensor:
    """One thing that can be measured.

    Attributes:
        kind: the source's name: "rapl", "ina3221", "pmic", "hwmon" or "battery".
        name: what is measured, as the system calls it: "package-0", "VDD_CPU", "BAT0".
        quantity: "energy" (`read` gives joules that only grow, up to the wrap) or "power" (watts now).
        read: one reading. Raises SensorError where the system refuses it.
        is_counted: whether it belongs to the source's total; a part of another sensor, or the sum of others, does not.
        wrap_joules: where a counter starts again from zero; 0 for one that does not.
        is_readable: whether this process may read it (counters are often the administrator's alone).
        period_seconds: how far apart readings should be, by what one costs and how often the value is renewed.
    """

    kind: str
    name: str
    quantity: str
    read: Callable[[], float]
    is_counted: bool = True
    wrap_joules: float = 0.0
    is_readable: bool = True
    period_seconds: float = 0.05

    def __str__(self) -> str:
        part = "" if self.is_counted else ", within another"
        hidden = "" if self.is_readable else ", not readable by this user"
        return f"{self.kind} {self.name} ({self.quantity}{part}{hidden})"


def text_of(path: Path) -> str:
    """A small file's text without white space around it; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number_of(path: Path) -> float:
    """A file's number. Raises SensorError where it cannot be read or is none."""
    try:
        return float(path.read_text())
    except (OSError, ValueError) as error:
        raise SensorError(f"sensor {path}: must hold a number that this user may read, got {error}") from error


def may_read(*paths: Path) -> bool:
    """Whether this process may read all of them."""
    return all(os.access(path, os.R_OK) for path in paths)
