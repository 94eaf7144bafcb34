"""The report of a search: one page with its data within, drawn in the reader's browser; nothing is fetched.

`report.html` holds the page; style, script and data take the place of marks in it. Text from models is set as text,
never as markup.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from importlib.resources import files
from math import inf
from typing import Any

from thew.files import write_atomically
from thew.search.result import Layer, Result

_PARTS = {"/*STYLE*/": "report.css", "/*SCRIPT*/": "report.js"}
_DATA = "/*RESULT*/null"


def report_page(result: Result) -> str:
    """The page as text."""
    document = {**result.to_dict(), "layers": [_layer(layer) for layer in result.layers]}
    data = json.dumps(document, allow_nan=False, default=str).replace("<", "\\u003c")
    folder = files("thew.search")
    page = folder.joinpath("report.html").read_text(encoding="utf-8")
    for mark, name in _PARTS.items():
        page = page.replace(mark, folder.joinpath(name).read_text(encoding="utf-8").strip())
    assert page.count(_DATA) == 1
    return page.replace(_DATA, data)


def _layer(layer: Layer) -> dict[str, Any]:
    others = [
        {**asdict(other), "beside": "never" if other.beside_seconds == inf else other.beside_seconds}
        for other in layer.others
    ]
    for other in others:
        del other["beside_seconds"]  # may be infinite, which JSON has no word for
    return {**asdict(layer), "shape": list(layer.shape), "others": others}


def write_report(result: Result, path: str | os.PathLike[str]) -> None:
    """Writes the page, atomically."""
    write_atomically(path, report_page(result))
