"""What a run tells: `Meter` counts between rows, and logs take the rows, under CleanRL's names."""

from __future__ import annotations

import csv
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from thew.errors import UnsupportedError
from thew.files import write_atomically
from thew.rl.environments import Episode
from thew.rl.learner import Result

PARTS = ("act", "env", "learn", "wait", "store")  # of a run's time; with actors, env is where the caller waits
Row = Mapping[str, float]


class Meter:
    """Times and losses since the last row; `games`, the last ones, go on over rows."""

    def __init__(self, games: deque[Episode]) -> None:
        self._games = games
        self._start()

    def _start(self) -> None:
        self._began = time.perf_counter()
        self._steps = 0
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._losses: list[float] = []
        self._values: list[float] = []

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Adds what runs within to a part."""
        began = time.perf_counter()
        yield
        self._seconds[part] += time.perf_counter() - began

    def learnt(self, result: Result) -> None:
        """One gradient step."""
        self._losses.append(result.loss)
        self._values.append(float(result.values.mean()))

    def seen(self, episodes: Iterable[Episode | None]) -> int:
        """One step of each environment; gives the number of games that ended with it."""
        found = list(episodes)
        ended = [episode for episode in found if episode is not None]
        self._steps += len(found)
        self._games.extend(ended)
        return len(ended)

    def row(self) -> dict[str, float]:
        """Means since the last row, and of the last games; a new row begins."""
        seconds = time.perf_counter() - self._began
        row = {"charts/SPS": self._steps / seconds}
        if self._games:
            row["charts/episodic_return"] = float(np.mean([game.episodic_return for game in self._games]))
            row["charts/episodic_length"] = float(np.mean([game.length for game in self._games]))
        if self._losses:
            row["losses/td_loss"] = float(np.mean(self._losses))
            row["losses/q_values"] = float(np.mean(self._values))
        row.update((f"time/{part}", spent / seconds) for part, spent in self._seconds.items())
        self._start()
        return row


class Log:
    """Takes rows of scalars; subclasses write them somewhere."""

    def write(self, row: Row) -> None:
        """One row."""

    def close(self) -> None:
        """The run is over, or stopped."""


@contextmanager
def closing_all(logs: Iterable[Log]) -> Iterator[None]:
    """Closes the logs behind what runs within, also where that fails."""
    try:
        yield
    finally:
        for log in logs:
            log.close()


COLUMNS = (
    "global_step", "charts/episodic_return", "charts/episodic_length", "eval/episodic_return", "charts/epsilon",
    "charts/SPS", "losses/td_loss", "losses/q_values", "loss_scale/scale", "loss_scale/clean", "loss_scale/skipped",
    *(f"time/{part}" for part in PARTS),
)  # fmt: skip


class CSVLog(Log):
    """Appends rows to a CSV file, flushed at once; what a row lacks stays empty.

    Args:
        path: the file.
        steps: how far the run has come, where it was resumed: rows beyond are taken out, since they will come again.
    """

    def __init__(self, path: str | os.PathLike[str], steps: int | None = None) -> None:
        self._path = Path(path)
        if steps is not None and self._path.exists():
            lines = self._path.read_text().splitlines(keepends=True)
            kept = [row for row in lines[1:] if float(row.partition(",")[0]) <= steps]
            write_atomically(self._path, "".join(lines[:1] + kept))

    def write(self, row: Row) -> None:
        """Appends a line, and the names before the first."""
        is_empty = not self._path.exists() or not self._path.stat().st_size
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_empty:
                writer.writeheader()
            writer.writerow(row)


class TensorBoardLog(Log):
    """Writes rows for TensorBoard. Raises UnsupportedError without its library."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise UnsupportedError("TensorBoard: needs its library; pip install 'thew[tensorboard]'") from error
        self._writer: Any = Writer(str(folder))

    def write(self, row: Row) -> None:
        """One scalar a column."""
        for name, value in row.items():
            if name != "global_step":
                self._writer.add_scalar(name, value, int(row["global_step"]))

    def close(self) -> None:
        """Flushes."""
        self._writer.close()


class ProgressLog(Log):
    """A bar on standard error: return, steps a second, ε, loss, the loss scale, and where the time goes."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), TextColumn("{task.fields[shown]}"), TimeRemainingColumn())
        # Refreshed seldom: the cores are for learning.
        self._bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=2)
        self._task = self._bar.add_task("", total=total, shown="filling the replay")
        self._bar.start()

    def write(self, row: Row) -> None:
        """Moves it on."""
        shown = [
            f"{name.split('/')[-1]} {row[name]:.4g}"
            for name in ("charts/episodic_return", "charts/SPS", "charts/epsilon", "losses/td_loss", "loss_scale/scale")
            if name in row
        ]
        shown += [f"{part} {row[f'time/{part}']:.0%}" for part in PARTS if row[f"time/{part}"] >= 0.005]
        self._bar.update(self._task, completed=row["global_step"], shown="  ".join(shown))
        if "eval/episodic_return" in row:
            text = f"step {int(row['global_step'])}  evaluation {row['eval/episodic_return']:.4g}"
            self._bar.console.print(text, highlight=False)

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.stop()
