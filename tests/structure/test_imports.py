"""Imports run downwards: a room knows only the rooms below it. The order is the architecture, here as data."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src" / "thew"
NATIVE = REPOSITORY / "native"

# Bottom up. Rooms of one level do not know each other.
LEVELS = (
    ("_version", "errors", "files"),
    ("dtypes",),
    ("ir",),
    ("ops",),
    ("autodiff",),
    ("passes",),
    ("nn",),
    ("models",),
    ("onnx",),
    ("plan",),
    ("runtime",),
    ("optim",),
    ("train",),
    ("compress",),
    ("search",),
    ("rl", "data"),
    ("bench",),
    ("cli",),
    ("__main__",),
)
# (file, room): the standard ONNX backend interface is where users look for it, and runs models.
EXCEPTIONS = {("onnx/backend.py", "runtime")}
NATIVE_IMPORTERS = {"runtime/native.py", "runtime/device.py"}

# The vector form of the activations stands with the other vector functions; their names are the kernels'.
NATIVE_EXCEPTIONS = {("simd/activation.hpp", "kernels/activation.hpp")}
NATIVE_LEVELS = (("base",), ("cpu", "data"), ("simd",), ("kernels",), ("exec",), ("bind", "bench"))

ORDER = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
NATIVE_ORDER = {room: level for level, rooms in enumerate(NATIVE_LEVELS) for room in rooms}


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of the file, inside functions too, as (line, absolute module)."""
    package = ("thew", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module) if node.module else base)
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


PYTHON_FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_python_imports_run_downwards(path: Path) -> None:
    name, room = path.relative_to(SOURCE).as_posix(), room_of(path)
    assert room in ORDER, f"{name}: give the room '{room}' its level in LEVELS"
    wrong = []
    for line, module in imported_modules(path):
        parts = module.split(".")
        if parts[0] != "thew" or len(parts) < 2 or parts[1] not in ORDER:
            continue
        target = parts[1]
        allowed = target == room or ORDER[target] < ORDER[room] or (name, target) in EXCEPTIONS
        if not allowed:
            wrong.append(f"{name}:{line} imports thew.{target}")
    assert not wrong, f"'{room}' may import only rooms below it: {wrong}"


def test_what_may_be_absent_is_said_to_be() -> None:
    """Types are checked with the base dependencies alone: pyproject.toml names every other package as optional."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    base = {re.split(r"\W", requirement, maxsplit=1)[0] for requirement in settings["project"]["dependencies"]}
    lenient = [rule for rule in settings["tool"]["mypy"]["overrides"] if rule.get("ignore_missing_imports")]
    optional = {name.split(".")[0] for rule in lenient for name in rule["module"]}
    imported = {module.split(".")[0] for path in PYTHON_FILES for _, module in imported_modules(path)}
    assert imported - set(sys.stdlib_module_names) - base - {"thew"} <= optional


def test_only_two_files_import_the_native_module() -> None:
    importers = {
        path.relative_to(SOURCE).as_posix()
        for path in PYTHON_FILES
        if any(module.split(".")[-1] == "_native" for _, module in imported_modules(path))
    }
    assert importers <= NATIVE_IMPORTERS


def test_the_table_has_no_stale_entries() -> None:
    files = {path.relative_to(SOURCE).as_posix() for path in PYTHON_FILES}
    assert {name for name, _ in EXCEPTIONS} | NATIVE_IMPORTERS <= files


NATIVE_FILES = sorted(path for path in NATIVE.rglob("*") if path.suffix in (".hpp", ".cpp"))


@pytest.mark.parametrize("path", NATIVE_FILES, ids=lambda path: str(path.relative_to(NATIVE)))
def test_native_includes_run_downwards(path: Path) -> None:
    name, room = path.relative_to(NATIVE).as_posix(), path.relative_to(NATIVE).parts[0]
    included = re.findall(r'^\s*#\s*include\s+"(\w+/.+?)"', path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    rooms = {target: target.split("/")[0] for target in included if (name, target) not in NATIVE_EXCEPTIONS}
    wrong = [target for target, its in rooms.items() if NATIVE_ORDER.get(its, 0) > NATIVE_ORDER[room]]
    assert not wrong, f"'{room}' may include only rooms below it, includes {wrong}"
