"""Where the AArch64 tools keep what they make, and the cores that they emulate.

Everything lies under one folder (build/aarch64 unless told otherwise): `sysroot`, an AArch64 Debian root with Python;
`site`, the AArch64 wheels of Thew and of all that its tests need; `peers`, those that it is compared with.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = Path(__file__).resolve().parent
PYTHON = "python3.11"  # Debian 12's, in the sysroot; the cross-built wheel is for the same version

# What each emulated core stands for; anything newer than it has ends in SIGILL.
CORES = {
    "cortex-a53": "ARMv8.0: Raspberry Pi 3, Jetson Nano",
    "cortex-a72": "ARMv8.0: Raspberry Pi 4",
    "cortex-a76": "fp16 arithmetic, dotprod, LSE atomics: Raspberry Pi 5, Jetson Orin, Graviton2",
    "max": "everything QEMU knows: i8mm, bf16, SVE2, SME",
}


@dataclass(frozen=True)
class Layout:
    root: Path

    @property
    def sysroot(self) -> Path:
        return self.root / "sysroot"

    @property
    def peers(self) -> Path:
        return self.root / "peers"

    @property
    def site(self) -> Path:
        return self.root / "site"


def default_layout() -> Layout:
    return Layout(REPOSITORY / "build" / "aarch64")


def call(command: list[str], **environment: str) -> None:
    """Runs a command and ends the program, saying which, where it fails."""
    print("+", " ".join(command), flush=True)
    code = subprocess.run(command, env=os.environ | environment, check=False).returncode
    if code != 0:
        sys.exit(f"{command[0]}: must succeed, got exit status {code}; see its output above")
