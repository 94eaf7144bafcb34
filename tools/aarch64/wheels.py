"""Fetches AArch64 wheels of everything that Thew and its tests need, at the versions installed in this environment.

pip would judge dependency markers by this machine's processor, so the closure is computed here, from the metadata of
the installed packages and the [test] extra of pyproject.toml, and each package is named to pip.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from layout import REPOSITORY, Layout, call, default_layout
from packaging.requirements import Requirement

PEERS = ("ncnn", "MNN", "ai-edge-litert", "onnxruntime")  # those that have AArch64 wheels
# Debian 12 has glibc 2.36: it runs wheels built for that or older.
GLIBC_MINORS = (17, *range(24, 37))


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate(
        {"extra": extra, "platform_machine": "aarch64", "sys_platform": "linux"}
    )


def closure(requirements: list[Requirement]) -> dict[str, str]:
    """Name → installed version, of the requirements and of all that they need."""
    found: dict[str, str] = {}
    queue = [requirement for requirement in requirements if wanted(requirement)]
    while queue:
        requirement = queue.pop()
        name = normalised(requirement.name)
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            sys.exit(f"wheels: {name} must be installed here to know its version; run: pip install '.[test]'")
        found[name] = distribution.version
        needed = [Requirement(text) for text in distribution.requires or []]
        extras = requirement.extras or {""}
        queue += [one for one in needed if any(wanted(one, extra) for extra in extras)]
    return found


def project_requirements() -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["test"])]


def fetch_wheels(site: Path, packages: Mapping[str, str]) -> None:
    pinned = [f"{name}=={version}" for name, version in sorted(packages.items()) if name != "thew"]
    platforms = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in GLIBC_MINORS)]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--no-deps", "--upgrade"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11"]
    command += [part for abi in ("cp311", "abi3", "none") for part in ("--abi", abi)]
    command += [part for platform in platforms for part in ("--platform", platform)]
    call([*command, "--target", str(site), *pinned])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=default_layout().root)
    parser.add_argument("--peers", action="store_true", help="also the engines that instructions are compared with")
    options = parser.parse_args()
    layout = Layout(options.root.resolve())
    own = closure(project_requirements())
    fetch_wheels(layout.site, own)
    if options.peers:
        others = closure([Requirement(name) for name in PEERS])
        fetch_wheels(layout.peers, {name: version for name, version in others.items() if name not in own})


if __name__ == "__main__":
    main()
