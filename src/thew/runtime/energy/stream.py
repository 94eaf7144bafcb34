"""An external meter: lines of `timestamp,watts` that it appends to a file, or writes to a pipe or standard input.

Timestamps are Unix seconds or ISO 8601, by a clock that agrees with this machine's. A first line that is no reading is
a header. Between two readings power is taken to change linearly.
"""

from __future__ import annotations

import itertools
import stat
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TextIO

from thew.errors import SensorError
from thew.runtime.energy.meter import Reading


class StreamMeter:
    """Energy from an external meter's readings.

    Args:
        path: a file, which may grow while it is read; a named pipe; or "-" for standard input.
        patience_seconds: how long to wait for the reading that closes a stretch.

    Raises:
        SensorError: where a line is no reading, or the readings do not cover a stretch.
    """

    def __init__(self, path: str | Path, patience_seconds: float = 5.0) -> None:
        self.source = f"meter {path}"
        self._path = str(path)
        self._patience = patience_seconds
        self._arrived = threading.Condition()  # guards what follows
        self._times: list[float] = []
        self._watts: list[float] = []
        self._failure: str | None = None
        self._ended = False
        self._stop = threading.Event()

    def __enter__(self) -> StreamMeter:
        if self._path != "-" and not Path(self._path).exists():
            raise SensorError(f"{self.source}: must be a file, a pipe or -, got nothing there; start the meter first")
        threading.Thread(target=self._follow, name="thew-meter", daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stop.set()

    def mark(self) -> float:
        """Now, in Unix seconds."""
        return time.time()

    def between(self, first: float, last: float) -> Reading:
        """Integrates the readings, once they reach the end of the stretch."""
        with self._arrived:
            self._arrived.wait_for(
                lambda: self._failure or self._ended or (self._times and self._times[-1] >= last), self._patience
            )
            if self._failure:
                raise SensorError(self._failure)
            return Reading(last - first, self._integral(first, last))

    def _integral(self, first: float, last: float) -> float:
        times, watts = self._times, self._watts
        if not times or times[0] > first or times[-1] < last:
            covered = f"{times[0]:.3f} to {times[-1]:.3f}" if times else "nothing"
            raise SensorError(
                f"{self.source}: readings must cover {first:.3f} to {last:.3f}, got {covered}; "
                "check that the meter runs and that its clock agrees"
            )
        start, end = bisect_right(times, first), bisect_left(times, last)
        moments = [first, *times[start:end], last]
        gap = max(b - a for a, b in itertools.pairwise(times[start - 1 : end + 1]))
        if gap > (last - first) / 2:
            raise SensorError(
                f"{self.source}: readings must be at most {(last - first) / 2:.3f} s apart over {last - first:.3f} s, "
                f"got {gap:.3f} s; lengthen the turns"
            )
        powers = [self._at(start, first), *watts[start:end], self._at(end, last)]
        pieces = zip(itertools.pairwise(moments), itertools.pairwise(powers), strict=True)
        return sum((t1 - t0) * (p0 + p1) / 2 for (t0, t1), (p0, p1) in pieces)

    def _at(self, index: int, moment: float) -> float:
        """Power at a moment between reading index - 1 and reading index."""
        if index == len(self._times):
            return self._watts[-1]
        t0, t1 = self._times[index - 1 : index + 1]
        p0, p1 = self._watts[index - 1 : index + 1]
        return p0 if t1 == t0 else p0 + (p1 - p0) * (moment - t0) / (t1 - t0)

    def _follow(self) -> None:
        try:
            with sys.stdin if self._path == "-" else open(self._path) as stream:
                self._take_lines(stream, grows=self._path != "-" and stat.S_ISREG(Path(self._path).stat().st_mode))
        except (OSError, ValueError) as error:
            self._fail(f"{self.source}: must be lines of timestamp,watts in rising order, got {error}")
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def _take_lines(self, stream: TextIO, grows: bool) -> None:
        started, rest = False, ""
        while not self._stop.is_set():
            rest += stream.readline()
            if not rest.endswith("\n"):
                if not grows:
                    return
                self._stop.wait(0.02)  # the end of what is written so far, perhaps within a line
                continue
            line, rest = rest.strip(), ""
            try:
                if line:
                    self._add(*parse_line(line))
                    started = True
            except ValueError:
                if started:
                    raise
                started = True  # a header

    def _add(self, moment: float, watts: float) -> None:
        with self._arrived:
            if self._times and moment < self._times[-1]:
                raise ValueError(f"{moment} after {self._times[-1]}")
            self._times.append(moment)
            self._watts.append(watts)
            self._arrived.notify_all()

    def _fail(self, message: str) -> None:
        with self._arrived:
            self._failure = message
            self._arrived.notify_all()


def parse_line(line: str) -> tuple[float, float]:
    """Unix seconds and watts of one line. Raises ValueError where it is none."""
    stamp, separator, power = line.partition(",")
    if not separator:
        raise ValueError(f"{line[:60]!r}")
    watts = float(power.split(",")[0])
    try:
        moment = float(stamp)
    except ValueError:
        date = datetime.fromisoformat(stamp.strip())
        moment = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    if not (isfinite(moment) and isfinite(watts)):
        raise ValueError(f"{line[:60]!r}")
    return moment, watts
