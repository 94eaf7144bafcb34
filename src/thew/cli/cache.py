"""``thew cache``: the measurements that searches have kept."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thew.cli import show
from thew.cli.options import Common, command
from thew.errors import InputError
from thew.files import write_atomically

if TYPE_CHECKING:
    from thew.runtime.cache import Cache

app = typer.Typer(name="cache", help="Measurements that searches have kept.", no_args_is_help=True)


def _cache() -> Cache:
    from thew.search.measure import measurements

    return measurements()


def contents(common: Common) -> None:
    """Lists devices and versions, with the number of their measurements."""
    rows = [
        (device, version, count, datetime.fromtimestamp(last).isoformat(" ", "minutes"))
        for device, version, count, last in _cache().summary()
    ]
    columns = ("device", "version", "measurements", "last")
    if common.json:
        show.as_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        show.table("Measurements", columns, rows)


def export(common: Common, file: Annotated[Path, typer.Argument(help="Where to write them, as JSON.")]) -> None:
    """Writes this machine's measurements to a file."""
    text = _cache().export()
    write_atomically(file, text)
    show.note(f"written to {file}")


def merge(common: Common, file: Annotated[Path, typer.Argument(help="What `thew cache export` wrote.")]) -> None:
    """Takes in the measurements of a file, made on a machine of this kind."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise InputError(f"cache '{file}': must be a file that `thew cache export` wrote, got {failure}") from failure
    show.note(f"{_cache().merge(text)} measurements taken in")


def compare(
    common: Common,
    other: Annotated[Path, typer.Argument(help="Another device's measurements.sqlite.")],
    samples: Annotated[int, typer.Option(min=1, help="Of this machine's measurements to learn from.")] = 50,
) -> None:
    """How well a model of another device, corrected by some measurements of this one, predicts the others kept here."""
    from thew.runtime.cache import foreign
    from thew.search.transfer import compare as compared

    there, here = ({key: one.seconds for key, one in found.items()} for found in (foreign(other), _cache().known()))
    found = compared(there, here, samples, common.seed)
    if common.json:
        show.as_json({"other": len(there), **asdict(found)})
        return
    show.line(
        f"{found.held_out} measurements, by a model of {len(there)} there and {found.samples} here: "
        f"median error {found.median_error:.1%}, rank correlation {found.rank_correlation:.3f}"
    )


app.command("list")(command(contents))
app.command("export")(command(export))
app.command("import")(command(merge))
app.command("compare")(command(compare))
