"""Runs the sysroot's Python on an emulated core, with Thew's AArch64 wheel on its path.

python tools/aarch64/emulate.py --cpu cortex-a72 -- -m pytest tests/contract
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from layout import CORES, PYTHON, REPOSITORY, Layout, default_layout

# Of the host's own Python and loader; all else of the environment reaches the guest.
HIDDEN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "LD_PRELOAD", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
SETTINGS = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",  # NumPy is only the oracle here
    "OMP_NUM_THREADS": "1",
}


def root_of(layout: Layout, cpu: str) -> Path:
    """The sysroot as this core sees it: the same files, and a /proc/cpuinfo of its own (libraries fail without one)."""
    root = layout.root / "cores" / cpu
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc/cpuinfo").write_text(CORES[cpu].cpuinfo)
    for entry in layout.sysroot.iterdir():
        if entry.name != "proc" and not (root / entry.name).is_symlink():
            (root / entry.name).symlink_to(entry)
    return root


def guest_command(layout: Layout, cpu: str, arguments: list[str], plugin: str = "") -> list[str]:
    command = ["qemu-aarch64", "-cpu", cpu, "-L", str(root_of(layout, cpu))]
    if plugin:
        command += ["-plugin", plugin]
    return [*command, str(layout.sysroot / "usr/bin" / PYTHON), *arguments]


def guest_environment(layout: Layout) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    return kept | SETTINGS | {"PYTHONPATH": f"{layout.site}{os.pathsep}{layout.peers}"}


def run(layout: Layout, cpu: str, arguments: list[str], plugin: str = "") -> int:
    command = guest_command(layout, cpu, arguments, plugin)
    return subprocess.run(command, cwd=REPOSITORY, env=guest_environment(layout), check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=default_layout().root)
    parser.add_argument("--cpu", choices=CORES, default="cortex-a72")
    parser.add_argument("arguments", nargs="*", help="of Python, after --")
    options = parser.parse_args()
    sys.exit(run(Layout(options.root.resolve()), options.cpu, options.arguments))


if __name__ == "__main__":
    main()
