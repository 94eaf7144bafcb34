"""The INA3221 power monitor of Jetson boards: three rails a chip.

Newer kernels show it as hwmon (millivolts and milliamperes; rails are named by `inN_label`), the vendor's older ones as
an IIO device (milliwatts; `rail_name_N`). Where a rail feeds all others (VDD_IN, …), it alone is counted. Source:
Documentation/hwmon/ina3221.rst of the Linux kernel; Jetson Linux Developer Guide, "Power monitoring".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from thew.runtime.energy.sensor import Sensor, may_read, number_of, text_of

KIND = "ina3221"
INPUT_RAILS = ("VDD_IN", "POM_5V_IN", "POM_VDD_IN", "VDD_5V_IN")  # feed the module; the other rails are parts of them


def find(root: Path) -> Iterator[Sensor]:
    """The rails of all chips."""
    rails = [*_hwmon(root), *_iio(root)]
    has_input = any(rail.name in INPUT_RAILS for rail in rails)
    for rail in rails:
        yield replace(rail, is_counted=not has_input or rail.name in INPUT_RAILS)


def _hwmon(root: Path) -> Iterator[Sensor]:
    for current in sorted(root.glob("class/hwmon/hwmon*/curr*_input")):
        folder, channel = current.parent, re.sub(r"\D", "", current.name)
        voltage = folder / f"in{channel}_input"
        if text_of(folder / "name") != KIND or not voltage.exists():
            continue  # another chip, or the sum of channels, which has no voltage of its own
        name = text_of(folder / f"in{channel}_label") or f"{folder.name} channel {channel}"
        yield Sensor(KIND, name, "power", partial(_product, voltage, current), is_readable=may_read(voltage, current))


def _iio(root: Path) -> Iterator[Sensor]:
    for power in sorted(root.glob("bus/i2c/drivers/ina3221x/*/iio:device*/in_power*_input")):
        channel = re.sub(r"\D", "", power.name)
        name = text_of(power.parent / f"rail_name_{channel}") or f"{power.parent.name} channel {channel}"
        yield Sensor(KIND, name, "power", partial(_milliwatts, power), is_readable=may_read(power))


def _product(millivolts: Path, milliamperes: Path) -> float:
    return number_of(millivolts) * number_of(milliamperes) * 1e-6


def _milliwatts(path: Path) -> float:
    return number_of(path) * 1e-3
