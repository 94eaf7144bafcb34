"""Batteries: the power that flows out of them, of the whole device; only while they discharge.

Microwatts, or microamperes and microvolts; some drivers give a negative current while discharging. Gauges renew their
value every second or more rarely, so runs must be long. Source: ABI/testing/sysfs-class-power of the Linux kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from thew.errors import SensorError
from thew.runtime.energy.sensor import Sensor, may_read, number_of, text_of

KIND = "battery"
PERIOD_SECONDS = 0.5


def find(root: Path) -> Iterator[Sensor]:
    """One sensor a battery that tells its power, or its current and voltage."""
    for folder in sorted(root.glob("class/power_supply/*")):
        if text_of(folder / "type") != "Battery":
            continue
        for names in (("power_now",), ("current_now", "voltage_now")):
            paths = tuple(folder / name for name in names)
            if all(path.exists() for path in paths):
                read = partial(_watts, folder, paths)
                yield Sensor(
                    KIND, folder.name, "power", read, is_readable=may_read(*paths), period_seconds=PERIOD_SECONDS
                )
                break


def _watts(folder: Path, paths: tuple[Path, ...]) -> float:
    status = text_of(folder / "status")
    if status != "Discharging":
        raise SensorError(f"sensor {folder.name}: must be discharging to measure, got {status!r}; unplug the charger")
    product = 1.0
    for path in paths:
        product *= abs(number_of(path)) * 1e-6
    return product
