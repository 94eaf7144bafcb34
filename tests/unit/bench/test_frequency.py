"""The clock, read from and capped in trees made by hand after cpufreq's documentation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thew.bench.frequency import capped, clock_mhz
from thew.errors import UnsupportedError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    return path


def test_the_fastest_cpu_of_those_allowed_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2})
    for cpu, khz in ((0, 600000), (1, 2400000), (2, 1500000)):
        write(tmp_path / f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", str(khz))
    assert clock_mhz(tmp_path) == 1500.0
    assert clock_mhz(tmp_path / "nothing") is None


def test_a_cap_lasts_as_long_as_it_is_asked_for(tmp_path: Path) -> None:
    policies = [
        write(tmp_path / f"devices/system/cpu/cpufreq/policy{index}/scaling_max_freq", str(khz))
        for index, khz in ((0, 1800000), (4, 2400000))
    ]
    with capped(1200, tmp_path):
        assert [path.read_text() for path in policies] == ["1200000", "1200000"]
    assert [path.read_text().strip() for path in policies] == ["1800000", "2400000"]
    with capped(None, tmp_path):
        assert policies[0].read_text().strip() == "1800000"


def test_a_cap_that_cannot_be_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="no policy"), capped(600, tmp_path):
        pass
    write(tmp_path / "devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1800000")

    def refuse(self: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(UnsupportedError, match="administrator"), capped(600, tmp_path):
        pass
