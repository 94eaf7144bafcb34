"""What a figure was taken on: machine, versions, commit, command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Machine, versions, commit and command as plain data."""
    import numpy as np

    import thew
    from thew.runtime import device

    facts = device.facts()
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["thew", *sys.argv[1:]]),
        "commit": commit(),
        "versions": {"thew": thew.__version__, "python": platform.python_version(), "numpy": np.__version__},
        "machine": {
            "cpu": facts["model"],
            "architecture": platform.machine(),
            "kernel": platform.release(),
            "isas": list(facts["isas"]),
            "features": [name for name, present in facts["features"].items() if present],
            "caches": dict(facts["caches"]),
            "cpus_allowed": sorted(os.sched_getaffinity(0)),
            "governor": governor(),
            "peak_flops_one_core": {dtype: device.peak_flops(dtype, 1) for dtype in ("fp32", "fp64")},
        },
    }


def governor(root: Path = Path("/sys")) -> str | None:
    """The first CPU's frequency governor; None where the system tells none."""
    path = root / "devices/system/cpu/cpu0/cpufreq/scaling_governor"
    return path.read_text().strip() if path.exists() else None


def commit(start: Path = Path(__file__)) -> str | None:
    """The commit of the source tree that this file lies in, with a plus where changed; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(start.parent), *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return run.stdout.strip()

    try:
        if not git("ls-files", "--error-unmatch", str(start)):
            return None
        return git("rev-parse", "--short", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
