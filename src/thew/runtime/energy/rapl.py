"""Intel's and AMD's energy counters (RAPL) through Linux's powercap: microjoules that wrap at `max_energy_range_uj`.

Zones nest: a package holds its cores and uncore; DRAM is beside it though it stands below; `psys` is the whole board.
Counted are packages and their DRAM. Source: Documentation/power/powercap/powercap.rst of the Linux kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from thew.runtime.energy.sensor import Sensor, may_read, number_of, text_of

KIND = "rapl"
MICRO = 1e-6


def find(root: Path) -> Iterator[Sensor]:
    """Every zone once; the memory-mapped copy of a package (`intel-rapl-mmio`) is left out where the other is there."""
    seen: set[str] = set()
    for path in sorted(root.glob("class/powercap/*/energy_uj"), key=lambda path: ("mmio" in path.parent.name, path)):
        name, zone = text_of(path.parent / "name") or path.parent.name, path.parent.name
        parent = text_of(path.parent.parent / zone.rsplit(":", 1)[0] / "name") if zone.count(":") > 1 else ""
        label = f"{parent} {name}".strip()
        if label in seen:
            continue
        seen.add(label)
        limit = text_of(path.parent / "max_energy_range_uj")
        yield Sensor(
            KIND,
            label,
            "energy",
            partial(_joules, path),
            is_counted=name.startswith("package") or name == "dram",
            wrap_joules=float(limit) * MICRO if limit.isdigit() else 0.0,
            is_readable=may_read(path),
        )


def _joules(path: Path) -> float:
    return number_of(path) * MICRO
