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


@dataclass(frozen=True)
class Core:
    """An emulated core: what it stands for (anything newer than it has ends in SIGILL), what Linux says of it, and the
    name of its model in LLVM, where that is right.
    """

    stands_for: str
    implementer: int
    part: int
    features: str
    model: str = ""

    @property
    def cpuinfo(self) -> str:
        lines = {
            "processor": "0",
            "Features": self.features,
            "CPU implementer": f"{self.implementer:#04x}",
            "CPU architecture": "8",
            "CPU variant": "0x0",
            "CPU part": f"{self.part:#05x}",
            "CPU revision": "3",
        }
        return "".join(f"{name}\t: {value}\n" for name, value in lines.items())


_V80 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_V82 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
CORES = {
    "cortex-a53": Core("ARMv8.0: Raspberry Pi 3, Jetson Nano", 0x41, 0xD03, _V80),
    "cortex-a72": Core("ARMv8.0: Raspberry Pi 4", 0x41, 0xD08, _V80, "cortex-a72"),
    "cortex-a76": Core(
        "fp16 arithmetic, dotprod, LSE atomics: Raspberry Pi 5, Jetson Orin, Graviton2",
        0x41,
        0xD0B,
        _V82,
        "neoverse-n1",
    ),
    "max": Core("everything QEMU knows: i8mm, bf16, SVE2, SME", 0x00, 0x051, f"{_V82} sve sve2 i8mm bf16 asimdfhm"),
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
