"""The page beside the counts: tables by network, each engine's instructions and cycles, and ratios to a peer's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
TITLES = {
    "reference": "Reference network: 1×3×56×56, eight convolutions 3×3 of 32 channels with ReLU, global average",
    "mobilenet_v2": "MobileNetV2, 224×224",
    "resnet50": "ResNet-50, 224×224",
    "nature_cnn": "The network of an agent of Atari, 4×84×84: one action",
    "lenet5_training": "LeNet-5: a training step of 64 samples (SGD with momentum)",
    "dqn_training": "DQN on Atari: a gradient step of 32 transitions (Adam)",
}
HEAD = """# Instructions on emulated Arm cores

Written by `python tools/aarch64/count.py --study --json docs/benchmarks/aarch64_counts.json`, which counts Thew and the
peers' own AArch64 wheels the same way under QEMU: one thread, one warm inference (or step). Counts are exact. Cycles
are *modelled*: executions of each block times what llvm-mca takes for it (cortex-a72; neoverse-n1 for cortex-a76), all
loads in the first level, no misprediction. Neither is a time. Executed over model multiply-accumulates is below 1 with
Winograd's algorithm. int8 are QDQ models by Thew's quantiser; engines without a precision have no row. What the figures
say, and where instructions go: [the profile](aarch64_profile.md).
"""
COLUMNS = ("precision", "core", "engine", "M instructions", "a MAC", "executed/model", "modelled M cycles", "× Thew")


def write_page(figures: Sequence[Figures], path: Path) -> None:
    path.write_text("\n".join([HEAD, *lines(figures)]).rstrip() + "\n")


def lines(figures: Sequence[Figures]) -> Iterator[str]:
    for network, group in groupby(figures, key=lambda one: str(one["network"])):
        counted = list(group)
        own = {(one["precision"], one["cpu"]): one.get("instructions") for one in counted if one["engine"] == "thew"}
        yield f"## {TITLES[network]}\n"
        yield f"| {' | '.join(COLUMNS)} |"
        yield f"|{'---|' * 3}{'--:|' * 5}"
        for one in counted:
            engine = f"{one['engine']} {one['version']}" if "version" in one else one["engine"]
            cells = [one["precision"], one["cpu"], engine, *numbers(one, own.get((one["precision"], one["cpu"])))]
            yield f"| {' | '.join(cells)} |"
        yield ""
        yield from (
            f"{one['engine']}, {one['precision']}, {one['cpu']}: {one['absent']}.\n"
            for one in counted
            if "absent" in one
        )


def numbers(one: Figures, base: int | None) -> list[str]:
    if "absent" in one:
        return ["absent", "", "", "", ""]
    total, macs, cycles = one["instructions"], one["model_macs"], one.get("modelled_cycles")
    ratio = f"{total / base:.3f}" if base else ""
    shares = [f"{total / macs:.4f}", f"{one['executed_macs'] / macs:.3f}"]
    return [f"{total / 1e6:.2f}", *shares, f"{cycles / 1e6:.2f}" if cycles else "", ratio]
