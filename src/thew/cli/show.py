"""How commands talk: tables and progress on a terminal, JSON on request. Results go to standard output, all else to
standard error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from thew.files import write_json


class Progress(Protocol):
    """A bar that is told of each finished piece."""

    def advance(self, text: str = "") -> None:
        """One piece is done."""


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints a table; columns of numbers are set right."""
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width: wrap nothing
    shown = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        is_number = bool(rows) and all(_is_number(row[index]) for row in rows)
        shown.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    console.print(shown, markup=False)


def compared(title: str, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints what `thew.compress.comparison` says of a model before and after."""
    before, after = models["before"], models["after"]

    def accuracy(row: Mapping[str, Any]) -> str:
        if row["accuracy"] is None:
            return ""
        low, high = row["interval"]
        return f"{100 * row['accuracy']:.2f} % ({100 * low:.1f} to {100 * high:.1f}, {row['samples']} samples)"

    rows = [
        ("weights", *(size(row["weight_bytes"]) for row in (before, after))),
        ("memory of a run", *(size(row["peak_memory_bytes"]) for row in (before, after))),
        ("accuracy", *(accuracy(row) for row in (before, after))),
        ("time of a run", *(f"{1e3 * row['seconds']:.3f} ms" for row in (before, after))),
    ]
    ratios = [
        f"{before['weight_bytes'] / max(after['weight_bytes'], 1):.2f}×",
        f"{before['peak_memory_bytes'] / max(after['peak_memory_bytes'], 1):.2f}×",
        "" if after["accuracy"] is None else f"{100 * (after['accuracy'] - before['accuracy']):+.2f} points",
        f"{before['seconds'] / after['seconds']:.2f}×",
    ]
    table(title, ("", "before", "after", "gain"), [(*row, ratio) for row, ratio in zip(rows, ratios, strict=True)])


def line(text: str) -> None:
    """Prints one line of the result."""
    Console(soft_wrap=True, highlight=False).print(text, markup=False)


def note(text: str) -> None:
    """Prints one line that is no part of the result."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


def as_json(value: Any) -> None:
    """Prints a value as JSON."""
    print(json.dumps(value, indent=2, default=_plain))


def report(value: Any, out: Path | None, is_json: bool) -> bool:
    """Writes a report to a file and prints it as JSON, each where that is asked for: whether it is told with that."""
    if out is not None:
        write_json(out, value)
    if is_json:
        as_json(value)
    return is_json


@contextmanager
def progress(title: str, pieces: int) -> Iterator[Progress]:
    """A bar on standard error; where that is no terminal, nothing."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True, refresh_per_second=2) as bar:
        task = bar.add_task(title, total=pieces)

        class _Task:
            def advance(self, text: str = "") -> None:
                bar.update(task, advance=1, description=f"{title} {text}" if text else title)

        yield _Task()


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error for each stage of long work; called with a stage, what is done of it, and the whole."""
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    tasks: dict[str, TaskID] = {}
    with Bar(*columns, console=Console(stderr=True), transient=True, refresh_per_second=2) as bar:

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield advance


def size(count: float) -> str:
    """Bytes in the largest unit that leaves a digit before the point."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"


def _is_number(cell: Any) -> bool:
    text = str(cell).replace(",", "").rstrip("×%")
    try:
        float(text.split(" ")[0] if text else "x")
    except ValueError:
        return text in {"", "-"}
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.item() if hasattr(value, "item") else str(value)
