"""``thew doctor``: what Thew finds on this machine, and what it will do with it."""

from __future__ import annotations

import os
import platform
from collections import Counter
from typing import Any

from thew.cli import show
from thew.cli.options import Common
from thew.dtypes import FLOATS
from thew.errors import SensorError


def doctor(common: Common) -> None:
    """Shows CPU, instruction sets, caches, kinds of cores, thread mask, kernels chosen and energy sensors."""
    report = examine(common)
    if common.json:
        show.as_json(report)
        return
    rows = [(name, _text(value)) for name, value in report.items() if name != "kernels"]
    show.table("This machine", ("what", "found"), rows)
    show.table(
        "First choice among kernels",
        ("family", "algorithm", "dtypes", "kernel of the first"),
        _grouped(report["kernels"]),
    )


def examine(common: Common) -> dict[str, Any]:
    """The findings as plain data."""
    import numpy as np

    import thew
    from thew.bench.machine import governor
    from thew.runtime import device
    from thew.runtime.energy import sensors

    facts = device.facts()
    cores = facts["cores"]
    kinds = Counter((core["kind"], core["model"] or facts["model"], core["max_khz"]) for core in cores)
    return {
        "thew": thew.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": facts["model"],
        "isas": list(facts["isas"]),
        "features": [name for name, present in facts["features"].items() if present],
        "caches": dict(facts["caches"]),
        "core_kinds": [
            {"kind": kind, "model": model, "max_mhz": khz // 1000, "cores": count}
            for (kind, model, khz), count in sorted(kinds.items())
        ],
        "memory_nodes": [
            {"node": node["number"], "memory_bytes": node["bytes"], "cpus": _ranges(node["cpus"])}
            for node in facts["nodes"]
        ],
        "governor": governor(),
        "thread_mask": sorted(os.sched_getaffinity(0)),
        "quota_cpus": facts["quota"] or None,
        "energy_sensors": [str(sensor) for sensor in sensors()],
        "energy_source": _energy_source(),
        "threads_asked": common.threads,
        "kernels": _chosen_kernels(),
    }


def _ranges(cpus: list[int]) -> str:
    """``0-3,8`` for a rising list of CPUs."""
    runs: list[list[int]] = []
    for cpu in cpus:
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _energy_source() -> str | None:
    """The source that joules come from here; None where none can be read."""
    from thew.runtime.energy import choose_meter

    try:
        return choose_meter().source
    except SensorError:
        return None


def _chosen_kernels() -> list[dict[str, str]]:
    """The first row that this CPU supports for each family, algorithm and dtype; rows stand in order of preference."""
    from thew.runtime.device import facts
    from thew.runtime.native import supported_rows

    rank = {isa: index for index, isa in enumerate(facts()["isas"])}
    chosen: dict[tuple[str, str, str], Any] = {}
    for row in supported_rows():
        key = (row.family, row.algorithm, row.a)
        if key not in chosen or rank[row.isa] < rank[chosen[key].isa]:
            chosen[key] = row
    return [
        {"family": family, "algorithm": algorithm, "dtype": dtype, "kernel": row.name}
        for (family, algorithm, dtype), row in sorted(chosen.items())
    ]


def _grouped(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """One line a family and algorithm; floats stand before integers."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in sorted(rows, key=lambda row: (row["dtype"] not in FLOATS, row["dtype"])):
        groups.setdefault((row["family"], row["algorithm"]), []).append(row)
    return [(*key, " ".join(row["dtype"] for row in groups[key]), groups[key][0]["kernel"]) for key in sorted(groups)]


def _text(value: Any) -> str:
    if value is None or value == []:
        return "none found"
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {show.size(item) if key.endswith('bytes') or 'bytes' in key else item}"
            for key, item in value.items()
        )
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value)
