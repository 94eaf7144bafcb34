"""The loop of `Trainer.fit`: epochs over batches, validation, callbacks, checkpoints.

All that it counts lies in `Counters`, which a checkpoint holds, so that a fit that was cut off goes on as if it had not
been.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thew.errors import InputError
from thew.train.batches import Batch, Batches, Samples, source_of
from thew.train.callbacks import Callback, Progress
from thew.train.history import History
from thew.train.metrics import Means, Metric
from thew.train.signals import stopping_on_signals

if TYPE_CHECKING:
    from thew.train.trainer import Trainer


@dataclass
class Counters:
    """How far training has come.

    Attributes:
        steps: steps done, skipped ones among them.
        epochs: whole epochs done.
        batches: batches done of the epoch that is under way.
        first_epoch: the epoch in which the fit that is under way began; None where none is.
        sums: of the epoch that is under way (`Means`).
    """

    steps: int = 0
    epochs: int = 0
    batches: int = 0
    first_epoch: int | None = None
    sums: dict[str, float] = field(default_factory=lambda: Means().sums)


@dataclass
class Fit:
    """One call of fit."""

    trainer: Trainer
    data: Any
    epochs: int
    batch_size: int
    validation: Any
    callbacks: Sequence[Callback]
    shuffle: bool
    drop_last: bool
    metrics: Sequence[str] | None
    checkpoint: str | os.PathLike[str] | None
    checkpoint_every: int | None
    progress: bool | None
    _signal: str = field(default="", init=False)
    _batches: Batches = field(init=False)

    def run(self) -> History:
        """Trains; gives the trainer's history."""
        for name, value, least in (("epochs", self.epochs, 0), ("batch_size", self.batch_size, 1)):
            if not isinstance(value, int) or value < least:
                raise InputError(f"fit: {name} must be a whole number of at least {least}, got {value!r}")
        if self.checkpoint is not None and not Path(self.checkpoint).absolute().parent.is_dir():
            raise InputError(
                f"fit: checkpoint must lie in a folder that exists, got '{self.checkpoint}'; make it first"
            )
        try:
            return self._run()
        except BaseException as error:
            self._abort(f"{type(error).__name__}: {error}")
            raise

    def _run(self) -> History:
        counters, history, group = self.trainer.counters, self.trainer.history, self.trainer.group
        source = source_of(self.data)
        if counters.first_epoch is None:
            counters.first_epoch = counters.epochs
        history.stopped, self._signal = "", ""
        seed = self.trainer.seed if self.shuffle else None
        self._batches = Batches(self.batch_size, seed, self.drop_last, group.rank, group.size)
        show = sys.stderr.isatty() if self.progress is None else self.progress
        callbacks = [*self.callbacks, *([Progress()] if show else ())]
        if group.rank:
            callbacks = [callback for callback in callbacks if not callback.of_first_only]
        with stopping_on_signals(self._ask):
            for callback in callbacks:
                callback.on_fit_begin(self.trainer, self._batches.count(source))
            try:
                while counters.epochs < counters.first_epoch + self.epochs and not history.stopped:
                    self._epoch(source, callbacks)
            finally:
                for callback in callbacks:
                    callback.on_fit_end(self.trainer)
        is_whole = counters.epochs >= counters.first_epoch + self.epochs
        if is_whole or not history.stopped.startswith("SIG"):
            counters.first_epoch = None
        self._save()
        return history

    def _ask(self, signal: str) -> None:
        """A signal asks for an end: it comes at a step's end, when all processes have agreed on it."""
        self._signal = signal

    def _agree(self) -> bool:
        """Whether training stops here: where one process wants to, all do."""
        history = self.trainer.history
        history.stopped = self.trainer.group.first_of(history.stopped or self._signal)
        return bool(history.stopped)

    def _save(self) -> None:
        if self.checkpoint is not None:
            self.trainer.save(self.checkpoint)

    def _abort(self, why: str) -> None:
        """Ends the job that this process is one of, if it is, with a checkpoint: all have come equally far."""
        if self.trainer.group.size == 1:
            return
        if self.checkpoint is not None:
            saved = self.trainer.rescue(self.checkpoint)
            why += f" (saved {self.checkpoint})" if saved else " (within a step: what was saved before stands)"
        self.trainer.group.abort(why)

    def _epoch(self, source: Samples | Iterable[Batch], callbacks: Sequence[Callback]) -> None:
        """The rest of the epoch under way."""
        trainer, counters = self.trainer, self.trainer.counters
        means, began, seen = Means(counters.sums), time.perf_counter(), 0
        counters.sums = means.sums
        for x, y in self._batches.of(source, counters.epochs, counters.batches):
            loss, prediction = trainer.step_with_prediction(x, y)
            samples = len(x) * trainer.group.size
            means.add(samples, {"loss": loss, **self._measured(prediction, y)})
            counters.batches, seen = counters.batches + 1, seen + samples
            row = {"samples": samples, "batch_loss": loss, **means.means()}
            row["samples_per_second"] = seen / (time.perf_counter() - began)
            for callback in callbacks:
                callback.on_step_end(trainer, row)
            if self.checkpoint_every and counters.steps % self.checkpoint_every == 0:
                self._save()
            if self._agree():
                return
        if not counters.batches:
            raise InputError("fit: data must yield at least one batch an epoch, got none; a generator yields only once")
        self._finish_epoch(means.means(), time.perf_counter() - began, seen, callbacks)

    def _finish_epoch(self, means: dict[str, float], seconds: float, seen: int, callbacks: Sequence[Callback]) -> None:
        trainer, counters = self.trainer, self.trainer.counters
        row = {"epoch": float(counters.epochs + 1), **means}
        if self.validation is not None:
            found = trainer.evaluate(self.validation, self.batch_size, self.metrics)
            row.update((f"val_{name}", value) for name, value in found.items())
        row.update(lr=trainer.learning_rate, seconds=seconds, samples_per_second=seen / seconds)
        trainer.schedule.observe(row.get("val_loss", row["loss"]))
        trainer.history.append(row)
        counters.epochs, counters.batches, counters.sums = counters.epochs + 1, 0, Means().sums
        for callback in callbacks:
            callback.on_epoch_end(trainer, row)
        if counters.first_epoch is not None and counters.epochs < counters.first_epoch + self.epochs:
            self._save()
        self._agree()

    def _measured(self, prediction: Any, target: Any) -> dict[str, float]:
        """The metrics of a batch, over all processes' shares of it, which are of one size."""
        found = measured(self.trainer.metrics_for(self.metrics, target), prediction, target)
        group = self.trainer.group
        totals = group.total(list(found.values()))
        return {name: total / group.size for name, total in zip(found, totals, strict=True)}


def measured(metrics: dict[str, Metric], prediction: Any, target: Any) -> dict[str, float]:
    """Every metric of one batch. Raises InputError for one that does not fit such predictions and targets."""
    found = {}
    for name, metric in metrics.items():
        try:
            found[name] = metric(prediction, target)
        except (ValueError, TypeError, IndexError) as error:
            shapes = f"{np.shape(prediction)} and {np.shape(target)}"
            raise InputError(f"metric '{name}': must fit predictions and targets, got {shapes}: {error}") from error
    return found
