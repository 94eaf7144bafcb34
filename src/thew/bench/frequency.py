"""The CPUs' clock, told and capped through Linux's cpufreq.

Source: Documentation/admin-guide/pm/cpufreq.rst of the Linux kernel; frequencies there are in kHz.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thew.errors import UnsupportedError

_ROOT = Path("/sys")


def clock_mhz(root: Path = _ROOT) -> float | None:
    """The highest clock of the CPUs that this process may use, now; None where the system does not tell."""
    paths = (root / f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq" for cpu in os.sched_getaffinity(0))
    found = [float(text) for text in map(_text, paths) if text.isdigit()]
    return max(found) / 1e3 if found else None


@contextmanager
def capped(mhz: int | None, root: Path = _ROOT) -> Iterator[None]:
    """Keeps all CPUs at or below a clock while it lasts; None leaves them alone.

    Raises:
        UnsupportedError: the system offers no such limit, this user may not set it, or it refuses the value.
    """
    limits = sorted(root.glob("devices/system/cpu/cpufreq/policy*/scaling_max_freq")) if mhz is not None else []
    if mhz is not None and not limits:
        raise UnsupportedError("mhz: the system must let the clock be capped (cpufreq), got no policy; leave it out")
    before = {path: _text(path) for path in limits}
    try:
        for path in limits:
            _write(path, str(1000 * (mhz or 0)))
        yield
    finally:
        for path, value in before.items():
            if value != _text(path):
                _write(path, value)


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except OSError as error:
        raise UnsupportedError(
            f"mhz: {path} must take {value} kHz, got {error.strerror}; run as administrator"
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
