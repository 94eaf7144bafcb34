"""Cross-builds Thew's AArch64 wheel and unpacks it beside its dependencies.

scikit-build-core takes the platform and the module's suffix from the environment (as setuptools does), and CMake takes
the compiler and Python's headers from toolchain.cmake. The same environment would make pip fetch AArch64 build tools,
so those are installed first, in an environment of their own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

from layout import REPOSITORY, TOOLS, Layout, call, default_layout

ELF_AARCH64 = 183
SETTINGS = {
    "cmake.define.CMAKE_TOOLCHAIN_FILE": str(TOOLS / "toolchain.cmake"),
    # A release in all but its symbols, which name the functions that instructions are counted in.
    "install.strip": "false",
    "cmake.build-type": "RelWithDebInfo",
    "cmake.define.CMAKE_CXX_FLAGS_RELWITHDEBINFO": "-O3 -DNDEBUG",
}


def machine(module: Path) -> int:
    """The e_machine field of an ELF header."""
    return int.from_bytes(module.read_bytes()[18:20], "little")


def make_build_environment(folder: Path) -> Path:
    """A virtual environment with what builds the wheel; returns its Python."""
    requires = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    call([str(python), "-m", "pip", "install", "-q", *requires])
    return python


def build_wheel(layout: Layout) -> Path:
    python = make_build_environment(layout.root / "build-env")
    folder = layout.root / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    settings = SETTINGS | {"cmake.define.THEW_SYSROOT": str(layout.sysroot), "build-dir": str(layout.root / "cmake")}
    command = [str(python), "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    command += [part for name, value in settings.items() for part in ("--config-settings", f"{name}={value}")]
    call(
        [*command, str(REPOSITORY)],
        _PYTHON_HOST_PLATFORM="linux-aarch64",
        SETUPTOOLS_EXT_SUFFIX=".cpython-311-aarch64-linux-gnu.so",
        PATH=f"{python.parent}:{os.environ['PATH']}",
    )
    (wheel,) = folder.glob("thew-*.whl")
    return wheel


def unpack(wheel: Path, site: Path) -> None:
    shutil.rmtree(site / "thew", ignore_errors=True)
    for old in site.glob("thew-*.dist-info"):
        shutil.rmtree(old)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    modules = list((site / "thew").rglob("*.so"))
    if not modules or any(machine(module) != ELF_AARCH64 for module in modules):
        sys.exit(f"build: the wheel must hold an AArch64 module, got {wheel.name}; see the CMake output above")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=default_layout().root)
    layout = Layout(parser.parse_args().root.resolve())
    unpack(build_wheel(layout), layout.site)


if __name__ == "__main__":
    main()
