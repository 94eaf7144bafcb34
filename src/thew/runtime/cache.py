"""What was measured, kept between runs: one SQLite file a user, shared by networks and processes.

A measurement is known by the device (CPU, instruction set), the version of the kernels and a key that says all that its
time depends on: row, op, shapes, dtypes, attributes, threads. Several searches may write at once; a killed one loses
nothing that it had measured.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from urllib.parse import quote

from thew.errors import InputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS measurement (
    device TEXT NOT NULL, version TEXT NOT NULL, key TEXT NOT NULL,
    seconds REAL NOT NULL, spread REAL NOT NULL, samples INTEGER NOT NULL, measured_at REAL NOT NULL,
    PRIMARY KEY (device, version, key)) WITHOUT ROWID
"""
_LOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """A time.

    Attributes:
        key: what was measured.
        seconds: median of the samples.
        spread: half of the distance between their quartiles, as a share of the median.
        samples: how many.
    """

    key: str
    seconds: float
    spread: float
    samples: int


def default_path() -> Path:
    """``THEW_CACHE`` where that is set, else the user's cache folder."""
    root = os.environ.get("THEW_CACHE")
    if root:
        return Path(root) / "measurements.sqlite"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thew" / "measurements.sqlite"


class Store:
    """A table in a file that many processes may write.

    Args:
        schema: the statement that makes the table where there is none.
        path: of the file, which is made where there is none; None keeps nothing beyond the process.

    Raises:
        InputError: the file is no such cache.
    """

    def __init__(self, schema: str, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(":memory:" if path is None else path, timeout=_LOCK_SECONDS)
            _log_ahead(self._connection)
            self._connection.execute(schema)
            self._connection.commit()
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> InputError:
        return InputError(f"cache '{self.path}': must be a cache of measurements, got {error}; move it away")

    @contextmanager
    def guarded(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction; a damaged file is an InputError."""
        try:
            with self._connection:
                yield self._connection
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Lets the file go."""
        self._connection.close()


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Write-ahead logging; SQLite's own timeout does not hold while others turn the same new file to it."""
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


class Cache(Store):
    """Measurements of one device and version in a file.

    Args:
        device: key of the device.
        version: of the kernels.
        path: of the file, which is made where there is none; None keeps nothing beyond the process.

    Raises:
        InputError: the file is no such cache.
    """

    def __init__(self, device: str, version: str, path: Path | None = None) -> None:
        self.device, self.version = device, version
        super().__init__(_SCHEMA, path)

    def known(self) -> dict[str, Measurement]:
        """All measurements of this device and version, by key; damaged rows are left out."""
        return self._found("version = ?")

    def near(self) -> dict[str, Measurement]:
        """Measurements of this device under other versions, by key, the last of each: not to be relied on, but near."""
        return self._found("version <> ? ORDER BY measured_at")

    def _found(self, condition: str) -> dict[str, Measurement]:
        select = "SELECT key, seconds, spread, samples FROM measurement WHERE device = ? AND "
        with self.guarded() as connection:
            rows = connection.execute(select + condition, (self.device, self.version)).fetchall()
        return {row[0]: Measurement(*row) for row in rows if _is_sound(*row)}

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Keeps measurements; one of the same key is replaced."""
        rows = [(self.device, self.version, m.key, m.seconds, m.spread, m.samples, time.time()) for m in measurements]
        with self.guarded() as connection:
            connection.executemany("INSERT OR REPLACE INTO measurement VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def summary(self) -> list[tuple[str, str, int, float]]:
        """Devices and versions in the file, with the number of measurements and the time of the last."""
        with self.guarded() as connection:
            return connection.execute(
                "SELECT device, version, COUNT(*), MAX(measured_at) FROM measurement GROUP BY device, version"
            ).fetchall()

    def export(self) -> str:
        """This device's measurements as JSON."""
        document = {"device": self.device, "version": self.version}
        return json.dumps({**document, "measurements": [asdict(m) for m in self.known().values()]}, indent=1)

    def merge(self, text: str) -> int:
        """Takes in what `export` gave: how many measurements. Raises InputError where the text is something else."""
        try:
            document = json.loads(text)
            found = [Measurement(**fields) for fields in document["measurements"]]
            sound = document["device"] == self.device and document["version"] == self.version
            if not sound or not all(_is_sound(m.key, m.seconds, m.spread, m.samples) for m in found):
                raise ValueError(f"measurements of {document['device']}, version {document['version']}")
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"cache: must be an export of {self.device}, version {self.version}, got {error}; export it again"
            ) from error
        self.add(found)
        return len(found)


def foreign(path: Path) -> dict[str, Measurement]:
    """Of a cache that was made elsewhere the measurements of one device: the one that has most.

    Raises:
        InputError: the file is not there, or no such cache; it is not changed.
    """
    select = "SELECT device, version, key, seconds, spread, samples FROM measurement"
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_LOCK_SECONDS)
        ) as connection:
            rows = [row for row in connection.execute(select) if _is_sound(*row[2:])]
    except sqlite3.Error as error:
        raise InputError(f"cache '{path}': must be a cache of measurements, got {error}; name another") from error
    found: dict[object, dict[str, Measurement]] = {}
    for device, version, *fields in rows:
        found.setdefault((device, version), {})[fields[0]] = Measurement(*fields)
    return max(found.values(), key=len, default={})


def _is_sound(key: object, seconds: object, spread: object, samples: object) -> bool:
    return (
        isinstance(key, str)
        and isinstance(seconds, float)
        and isinstance(spread, float)
        and isinstance(samples, int)
        and isfinite(seconds)
        and seconds > 0
        and isfinite(spread)
        and spread >= 0
        and samples > 0
    )
