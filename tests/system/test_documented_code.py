"""Code that documents shows runs: README, the guide, docstrings of the rooms that users call."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guide/building.md")
ROOMS = ("thew.nn", "thew.models", "thew.optim")


@pytest.mark.parametrize("page", PAGES)
def test_pages(page, tmp_path, monkeypatch, capsys):
    path = ROOT / page
    if not path.exists():
        pytest.skip(f"{page} is not part of this installation")
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def modules():
    for room in ROOMS:
        package = importlib.import_module(room)
        yield room
        yield from (f"{room}.{found.name}" for found in pkgutil.iter_modules(package.__path__))


@pytest.mark.parametrize("name", list(modules()))
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
