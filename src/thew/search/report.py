"""The report of a search: one page with its data within, drawn in the reader's browser; nothing is fetched.

`report.html` holds the page; the data take the place of a mark in it. Text from models is set as text, never as markup.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib.resources import files
from pathlib import Path

from thew.search.result import Result

_MARK = "/*RESULT*/null"


def report_page(result: Result) -> str:
    """The page as text."""
    document = {
        **result.to_dict(),
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "shape": list(layer.shape),
                "chosen": layer.chosen,
                "seconds": layer.seconds,
                "others": [list(other) for other in layer.others],
            }
            for layer in result.layers
        ],
    }
    data = json.dumps(document, allow_nan=False, default=str).replace("</", "<\\/")
    template = files("thew.search").joinpath("report.html").read_text(encoding="utf-8")
    assert template.count(_MARK) == 1
    return template.replace(_MARK, data)


def write_report(result: Result, path: str | os.PathLike[str]) -> None:
    """Writes the page to a temporary file beside `path`, and moves it there."""
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".html")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(report_page(result))
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
