"""`History`: what every epoch came to, as columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from thew.errors import UnsupportedError

Row = Mapping[str, float]


class History(Mapping[str, list[float]]):
    """Columns by name, one entry an epoch: epoch, loss, metrics, ``val_…``, lr, seconds, samples_per_second.

    Example:
        >>> history = trainer.fit((x, y), epochs=3)
        >>> history["loss"]
    """

    def __init__(self, columns: Mapping[str, list[float]] | None = None) -> None:
        self.columns: dict[str, list[float]] = {name: list(column) for name, column in (columns or {}).items()}
        self.stopped = ""  # why training ended early

    def append(self, row: Row) -> None:
        """Adds an epoch; a column that is new is NaN in the epochs before."""
        length = max((len(column) for column in self.columns.values()), default=0)
        for name in {**dict.fromkeys(self.columns), **dict.fromkeys(row)}:
            column = self.columns.setdefault(name, [float("nan")] * length)
            column.append(float(row.get(name, float("nan"))))

    def rows(self) -> list[dict[str, float]]:
        """The epochs in order."""
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes all epochs as CSV."""
        with Path(path).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self.columns))
            writer.writeheader()
            writer.writerows(self.rows())

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws losses and metrics over epochs into a file. Raises UnsupportedError without matplotlib."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise UnsupportedError("plot: needs matplotlib; pip install 'thew[plots]'") from error
        figure = Figure(figsize=(9, 3.5), layout="constrained")
        names = [name for name in self.columns if not name.startswith("val_")]
        drawn = [name for name in names if name not in ("epoch", "lr", "seconds", "samples_per_second")]
        for place, name in zip(figure.subplots(1, max(len(drawn), 1), squeeze=False)[0], drawn, strict=False):
            for column in (name, f"val_{name}"):
                if column in self.columns:
                    place.plot(self.columns["epoch"], self.columns[column], label=column)
            place.set_xlabel("epoch")
            place.legend()
        figure.savefig(path)

    def __getitem__(self, name: str) -> list[float]:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        last = self.rows()[-1:] or [{}]
        return "History(" + ", ".join(f"{name}={value:.4g}" for name, value in last[0].items()) + ")"
