"""Any other monitor that hwmon shows: counters of microjoules (`amd_energy`) and powers in microwatts (`power_meter`).

Nothing is known of what lies within what, save for AMD's: sockets hold their cores. Source:
Documentation/hwmon/sysfs-interface.rst and amd_energy of the Linux kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from thew.runtime.energy.sensor import Sensor, may_read, number_of, text_of

KIND = "hwmon"
_FORMS = (("energy*_input", "energy"), ("power*_input", "power"), ("power*_average", "power"))


def find(root: Path) -> Iterator[Sensor]:
    """Each channel once; a chip that counts energy is not asked for its power, which is the same thing again."""
    seen: set[tuple[Path, str]] = set()
    counters: set[Path] = set()
    for pattern, quantity in _FORMS:
        for path in sorted(root.glob(f"class/hwmon/hwmon*/{pattern}")):
            chip, channel = path.parent, path.name.split("_")[0]
            if (chip, channel) in seen or (quantity == "power" and chip in counters):
                continue
            seen.add((chip, channel))
            if quantity == "energy":
                counters.add(chip)
            name = text_of(chip / f"{channel}_label") or text_of(chip / "name") or chip.name
            core = re.match(r"Ecore\d+", name) is not None
            yield Sensor(KIND, name, quantity, partial(_micro, path), is_counted=not core, is_readable=may_read(path))


def _micro(path: Path) -> float:
    return number_of(path) * 1e-6
