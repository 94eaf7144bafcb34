"""Callbacks: what happens around steps and epochs of `Trainer.fit` without being part of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thew.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from thew.train.trainer import Trainer

Row = Mapping[str, float]


class Callback:
    """Hooks that do nothing; subclasses write those that they need.

    Of the processes of a job every one has its own, unless `of_first_only`.
    """

    of_first_only = False

    def on_fit_begin(self, trainer: Trainer, batches: int | None) -> None:
        """Before the first step; `batches` of an epoch, where that is known."""

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        """After every step; `row` has the batch's loss and number of samples, and the epoch's means so far."""

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """After every epoch and its validation; `row` is what the history takes."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training was stopped or failed."""


class _Monitor(Callback):
    """Watches a column for its best value."""

    def __init__(self, monitor: str = "val_loss", mode: str = "", min_delta: float = 0.0) -> None:
        self.monitor, self.min_delta = monitor, min_delta
        if mode not in ("", "min", "max"):
            raise InputError(f"{type(self).__name__}: mode must be 'min', 'max' or '', got {mode!r}")
        self.sign = -1 if mode == "max" or (not mode and not monitor.endswith(("loss", "error"))) else 1
        self.best = float("inf")

    def is_best(self, row: Row) -> bool:
        """Whether this epoch is the best so far."""
        if self.monitor not in row:
            raise InputError(f"{type(self).__name__}: monitor must be one of {', '.join(row)}, got {self.monitor!r}")
        value = self.sign * row[self.monitor]
        if value < self.best - self.min_delta:
            self.best = value
            return True
        return False


class EarlyStopping(_Monitor):
    """Stops when a column has not become better for more than `patience` epochs."""

    def __init__(self, monitor: str = "val_loss", patience: int = 3, mode: str = "", min_delta: float = 0.0) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.waited = patience, 0

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Counts, and stops."""
        self.waited = 0 if self.is_best(row) else self.waited + 1
        if self.waited > self.patience:
            trainer.stop(f"{self.monitor} has not become better for {self.waited} epochs")


class Reach(_Monitor):
    """Stops once a column is at least (or, of a loss, at most) so much."""

    def __init__(self, value: float, monitor: str = "val_accuracy", mode: str = "") -> None:
        super().__init__(monitor, mode)
        self.best = self.sign * value

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Compares, and stops."""
        if self.is_best(row) or self.sign * row[self.monitor] == self.best:
            trainer.stop(f"{self.monitor} is {row[self.monitor]:.4f}")


class CheckpointBest(_Monitor):
    """Saves a checkpoint whenever a column is at its best."""

    def __init__(self, path: str | os.PathLike[str], monitor: str = "val_loss", mode: str = "") -> None:
        super().__init__(monitor, mode)
        self.path = path

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Saves the best."""
        if self.is_best(row):
            trainer.save(self.path)


class CSVLogger(Callback):
    """Appends every epoch to a CSV file, flushed at once."""

    of_first_only = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Appends a line, and the names before the first."""
        is_empty = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if is_empty:
                writer.writeheader()
            writer.writerow(row)


class TensorBoard(Callback):
    """Writes every epoch for TensorBoard. Raises UnsupportedError without its library."""

    of_first_only = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise UnsupportedError("TensorBoard: needs its library; pip install 'thew[tensorboard]'") from error
        self._writer: Any = Writer(str(folder))

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """One scalar a column."""
        for name, value in row.items():
            self._writer.add_scalar(name, value, int(row["epoch"]))

    def on_fit_end(self, trainer: Trainer) -> None:
        """Flushes."""
        self._writer.close()


class Progress(Callback):
    """A bar for each epoch on standard error: loss, accuracy, samples per second, time left."""

    of_first_only = True

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[shown]}"))
        console = Console(stderr=True)
        # Refreshed seldom: the cores are for training.
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, refresh_per_second=2)
        self._batches: int | None = None
        self._task: Any = None

    def on_fit_begin(self, trainer: Trainer, batches: int | None) -> None:
        """Shows the bar."""
        self._batches = batches
        self._bar.start()

    def on_step_end(self, trainer: Trainer, row: Row) -> None:
        """Moves it on."""
        if self._task is None:
            name = f"epoch {trainer.counters.epochs + 1}"
            self._task = self._bar.add_task(name, total=self._batches, shown="")
        shown = " ".join(f"{name} {value:.4f}" for name, value in row.items() if name not in ("samples", "batch_loss"))
        self._bar.update(self._task, advance=1, shown=shown)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """Leaves a line for the epoch."""
        names = [name for name in row if name not in ("epoch", "lr", "seconds")]
        line = "  ".join(f"{name} {row[name]:.4g}" for name in names)
        self._bar.console.print(f"epoch {int(row['epoch'])}  {line}", highlight=False)
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    def on_fit_end(self, trainer: Trainer) -> None:
        """Takes the bar away."""
        self._bar.stop()
