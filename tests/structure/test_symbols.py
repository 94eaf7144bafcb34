"""Kernel units differ in compiler flags, so the linker must have nothing to merge across them.

An inline function that two units share becomes a weak symbol, of which the linker keeps one: perhaps the one compiled
for AVX-512, which then runs on a CPU without it. Units therefore define no weak symbol, and export only the tables of
their ISA. The objects are those of the newest build tree under build/ (pip leaves it there).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MERGED = set("VvWwu")  # weak objects, weak symbols, unique ones
UNIT_FOLDER = re.compile(r"thew_\w+\.(\w+)\.dir")

pytestmark = pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm (binutils)")


def newest_units() -> list[Path]:
    """Object files of kernel units, of the build tree built last."""
    trees = [folder for folder in (REPOSITORY / "build").glob("*/native") if folder.is_dir()]
    if not trees:
        return []
    newest = max(trees, key=lambda folder: folder.stat().st_mtime)
    return sorted(unit for unit in newest.rglob("*.o") if UNIT_FOLDER.search(str(unit)))


def defined_symbols(path: Path, *options: str) -> list[tuple[str, str]]:
    """(kind, demangled name) of every symbol that the file defines."""
    command = ["nm", "-C", "--defined-only", *options, str(path)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = (line.split(" ", 2) for line in listing.splitlines() if re.match(r"[0-9a-f]+ \S ", line))
    return [(kind, name) for _, kind, name in rows]


@pytest.fixture(scope="module")
def units() -> list[Path]:
    found = newest_units()
    if not found:
        pytest.skip("no build tree under build/: install with pip from this checkout first")
    return found


def test_units_define_nothing_that_is_merged(units: list[Path]) -> None:
    merged = [(unit.name, name) for unit in units for kind, name in defined_symbols(unit) if kind in MERGED]
    assert not merged, f"move these into anonymous namespaces: {merged[:10]}"


def test_units_export_only_what_their_isa_owns(units: list[Path]) -> None:
    for unit in units:
        isa = UNIT_FOLDER.search(str(unit)).group(1)  # type: ignore[union-attr]
        exported = [name for kind, name in defined_symbols(unit, "--extern-only") if kind not in MERGED]
        foreign = [name for name in exported if not name.startswith(f"thew::{isa}::")]
        assert not foreign, f"{unit}: exports {foreign[:10]}"
        assert exported, f"{unit}: exports no table"


def test_the_check_sees_a_merged_symbol(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    source, unit = tmp_path / "unit.cpp", tmp_path / "unit.o"
    source.write_text("inline int shared(int x) { return x + 1; }\nint (*use())(int) { return shared; }\n")
    subprocess.run([compiler, "-O0", "-c", str(source), "-o", str(unit)], check=True)
    assert any(kind in MERGED and name.startswith("shared") for kind, name in defined_symbols(unit))
    assert any(name.startswith("use") for _, name in defined_symbols(unit, "--extern-only"))


def test_the_module_exports_its_entry_only() -> None:
    native = pytest.importorskip("thew.runtime.native")
    module = Path(native._native.__file__)
    exported = [name for kind, name in defined_symbols(module, "--dynamic") if kind not in MERGED]
    assert exported == ["PyInit__native"]
