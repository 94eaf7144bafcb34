"""Energy sensors that Linux shows on this machine: found here, not yet read.

Intel's and AMD's counters (powercap), boards' power monitors (hwmon, and the IIO form of the INA3221 on older Jetsons),
batteries. Sources: Documentation/power/powercap, hwmon/sysfs-interface.rst and hwmon/ina3221.rst, and
ABI/testing/sysfs-class-power of the Linux kernel.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sensor:
    """One thing that can be measured.

    Attributes:
        kind: "rapl", "hwmon", "ina3221" or "battery".
        name: what is measured, as the system calls it: "package-0", "VDD_CPU", "BAT0".
        quantity: "energy" (a counter), "power", or "current" (with a voltage beside it).
        paths: the files whose product is the quantity.
        readable: whether this process may read them all (counters are often the administrator's alone).
    """

    kind: str
    name: str
    quantity: str
    paths: tuple[Path, ...]
    readable: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.quantity}{'' if self.readable else ', not readable by this user'})"


@dataclass(frozen=True, slots=True)
class _Source:
    """Where sensors of a kind are: `pattern` below /sys; in the other names, # stands for the channel's number."""

    kind: str
    quantity: str
    pattern: str
    labels: tuple[str, ...]  # the first that exists names the sensor, else the folder does
    beside: str = ""  # a second factor, which must exist too
    chip: str = ""  # what the folder's `name` must say


_SOURCES = (
    _Source("rapl", "energy", "class/powercap/*/energy_uj", ("name",)),
    _Source("ina3221", "current", "class/hwmon/hwmon*/curr*_input", ("in#_label",), beside="in#_input", chip="ina3221"),
    _Source("ina3221", "power", "bus/i2c/drivers/ina3221x/*/iio:device*/in_power*_input", ("rail_name_#",)),
    _Source("hwmon", "energy", "class/hwmon/hwmon*/energy*_input", ("energy#_label", "name")),
    _Source("hwmon", "power", "class/hwmon/hwmon*/power*_input", ("power#_label", "name")),
    _Source("hwmon", "power", "class/hwmon/hwmon*/power*_average", ("power#_label", "name")),
    _Source("battery", "power", "class/power_supply/*/power_now", ()),
    _Source("battery", "current", "class/power_supply/*/current_now", (), beside="voltage_now"),
)


def sensors(root: Path = Path("/sys")) -> tuple[Sensor, ...]:
    """Every energy sensor found below `root`, each once, in the order of the sources."""
    found: dict[tuple[Path, str], Sensor] = {}
    for source in _SOURCES:
        for path in sorted(root.glob(source.pattern)):
            sensor = _sensor(source, path)
            if sensor is not None:
                found.setdefault((path.parent, sensor.name), sensor)
    return tuple(found.values())


def _sensor(source: _Source, path: Path) -> Sensor | None:
    folder = path.parent
    digits = re.search(r"\d+", path.name)
    number = digits.group() if digits else ""
    if source.chip and _text(folder / "name") != source.chip:
        return None
    if source.kind == "battery" and _text(folder / "type") != "Battery":
        return None
    paths = (path, folder / source.beside.replace("#", number)) if source.beside else (path,)
    if not all(one.exists() for one in paths):
        return None
    labels = (_text(folder / label.replace("#", number)) for label in source.labels)
    name = next((label for label in labels if label), folder.name)
    return Sensor(source.kind, name, source.quantity, paths, all(_is_readable(one) for one in paths))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK)
