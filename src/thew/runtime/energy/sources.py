"""The kinds of sensors, most trustworthy for the whole first, and a look for all of them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from thew.runtime.energy import battery, hwmon, ina3221, pmic, rapl
from thew.runtime.energy.sensor import Sensor

SOURCES: tuple[ModuleType, ...] = (ina3221, pmic, rapl, hwmon, battery)


def sensors(root: Path = Path("/sys")) -> tuple[Sensor, ...]:
    """Every sensor found below `root`, in the order of the sources."""
    return tuple(sensor for source in SOURCES for sensor in source.find(root))
