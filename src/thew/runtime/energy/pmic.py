"""The Raspberry Pi 5's power management chip: `vcgencmd pmic_read_adc` gives the current and voltage of every rail.

The sum over rails that have both leaves out what does not pass the chip: USB devices, HATs and the converter's own
loss. A reading starts a process, which costs some milliseconds of one core. Source: the Raspberry Pi documentation of
`vcgencmd`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from thew.errors import SensorError
from thew.runtime.energy.sensor import Sensor

KIND = "pmic"
PERIOD_SECONDS = 0.5
MODEL = "firmware/devicetree/base/model"
_LINE = re.compile(r"^\s*(\S+)_([AV])\s+(?:current|volt)\(\d+\)=([0-9.]+)[AV]\s*$", re.MULTILINE)


def find(root: Path, command: str = "vcgencmd") -> Iterator[Sensor]:
    """One sensor, the sum of the rails, where the board is a Raspberry Pi 5 (or its module) and has the command."""
    model = root / MODEL
    if not model.exists() or not re.search(r"Raspberry Pi (5|Compute Module 5|500)", model.read_text(errors="replace")):
        return
    program = shutil.which(command)
    if program is not None:
        yield Sensor(KIND, "sum of rails", "power", partial(_read, program), period_seconds=PERIOD_SECONDS)


def _read(program: str) -> float:
    try:
        run = subprocess.run([program, "pmic_read_adc"], capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError) as error:
        raise SensorError(f"sensor pmic: vcgencmd pmic_read_adc must succeed, got {error}") from error
    return watts(run.stdout)


def watts(text: str) -> float:
    """Power of the rails whose current and voltage both stand in the command's output."""
    rails: dict[str, dict[str, float]] = {}
    for name, unit, value in _LINE.findall(text):
        rails.setdefault(name, {})[unit] = float(value)
    complete = [rail["A"] * rail["V"] for rail in rails.values() if len(rail) == 2]
    if not complete:
        raise SensorError(f"sensor pmic: vcgencmd must list currents and voltages, got {text[:60]!r}")
    return sum(complete)
