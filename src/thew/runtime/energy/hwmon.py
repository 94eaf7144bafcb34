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
    """Each channel once; one that gives both its power now and an average counts with the first."""
    seen: set[tuple[Path, str, str]] = set()
    for pattern, quantity in _FORMS:
        for path in sorted(root.glob(f"class/hwmon/hwmon*/{pattern}")):
            channel = path.name.split("_")[0]
            if (path.parent, quantity, channel) in seen:
                continue
            seen.add((path.parent, quantity, channel))
            name = text_of(path.parent / f"{channel}_label") or text_of(path.parent / "name") or path.parent.name
            core = re.match(r"Ecore\d+", name) is not None
            yield Sensor(KIND, name, quantity, partial(_micro, path), is_counted=not core, is_readable=may_read(path))


def _micro(path: Path) -> float:
    return number_of(path) * 1e-6
