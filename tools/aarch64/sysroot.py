"""Makes an AArch64 Debian root with Python 3.11 and its headers, from the package sources of this machine.

apt works on a state of its own, so the machine's is left alone; packages are unpacked, not installed. About 20 MB of
download. Needs Debian 12's sources (any release with python3.11).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from layout import call, default_layout

PACKAGES = (
    "python3.11-minimal",
    "libpython3.11-stdlib",
    "libpython3.11-dev",
    "libstdc++6",
    "libgcc-s1",
    "libgomp1",
    "libatomic1",
)
MOST_CPUS = 64
CACHE_INDICES = 4


def apt_configuration(state: Path) -> str:
    return f"""
Dir::State "{state}/state";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
"""


def hide_the_host(root: Path) -> None:
    """QEMU looks for absolute paths in the root first: files there hide what the host says of its own processor.

    The cache descriptions are blank, so that detection goes by the (emulated) processor's own name, and counts do not
    depend on the machine that they are taken on. /proc/cpuinfo differs from core to core: see emulate.py.
    """
    for cpu in range(MOST_CPUS):
        folder = root / f"sys/devices/system/cpu/cpu{cpu}"
        for index in range(CACHE_INDICES):
            (folder / f"cache/index{index}").mkdir(parents=True, exist_ok=True)
            (folder / f"cache/index{index}/type").write_text("\n")
        (folder / "cpu_capacity").write_text("\n")


def make_sysroot(root: Path) -> None:
    state = root.with_name(root.name + ".apt")
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "apt.conf").write_text(apt_configuration(state))
    environment = {"APT_CONFIG": str(state / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    call(["apt-get", "-q", "update"], **environment)
    call(["apt-get", "-q", "-y", "--download-only", "install", *PACKAGES], **environment)
    root.mkdir(parents=True, exist_ok=True)
    for package in sorted((state / "cache/archives").glob("*.deb")):
        call(["dpkg-deb", "-x", str(package), str(root)])
    hide_the_host(root)
    shutil.rmtree(state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=default_layout().sysroot)
    make_sysroot(parser.parse_args().root.resolve())


if __name__ == "__main__":
    main()
