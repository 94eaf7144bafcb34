"""``thew kernels``: the kernel table."""

from __future__ import annotations

from typing import Annotated

import typer

from thew.cli import show
from thew.cli.options import Common

_COLUMNS = ("name", "family", "algorithm", "a", "b", "acc", "mr", "nr", "kr", "isa", "supported")


def kernels(
    common: Common,
    family: Annotated[str | None, typer.Option(help="Only rows of this family.")] = None,
    isa: Annotated[str | None, typer.Option(help="Only rows of this instruction set.")] = None,
) -> None:
    """Lists every kernel that was compiled, and whether this CPU can run it."""
    from thew.runtime.native import kernel_table

    rows = [row for row in kernel_table() if family in (None, row["family"]) and isa in (None, row["isa"])]
    if common.json:
        show.as_json(rows)
        return
    cells = [[("yes" if row[c] else "no") if c == "supported" else row[c] for c in _COLUMNS] for row in rows]
    show.table(f"{len(rows)} kernels", _COLUMNS, cells)
