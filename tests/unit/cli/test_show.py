"""What is printed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from thew.cli import show


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.00 GiB")]
)
def test_sizes(count, text):
    assert show.size(count) == text


def test_json_takes_numpys_numbers(capsys):
    show.as_json({"a": np.float32(0.5), "b": np.int64(3)})
    assert json.loads(capsys.readouterr().out) == {"a": 0.5, "b": 3}


def test_tables_show_markup_as_it_is(capsys):
    show.table("title", ("name", "count"), [("[red]x[/red]", 1), ("fp32[1,2]", 20)])
    out = capsys.readouterr().out
    assert "fp32[1,2]" in out
    assert "[red]x[/red]" in out
