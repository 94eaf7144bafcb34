"""Counts the instructions of the 3×3 reference network on emulated cores: in total, per kernel and per function.

python tools/aarch64/count.py                     the table for cortex-a72 and cortex-a76
python tools/aarch64/count.py --functions 8       also where in the native module they are spent

Counts are exact and repeatable: they say nothing of time, and emulated time is never quoted.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emulate
from layout import CORES, TOOLS, Layout, call, default_layout

MODEL_MACS = (56 * 56 * 32 * 9) * (3 + 7 * 32)


@dataclass(frozen=True)
class MacClass:
    """Instructions that multiply and accumulate: those with `word & mask == value`, and how many lanes each has."""

    mask: int
    value: int
    lanes: Callable[[int], int]


def whole_or_half(lanes: int) -> Callable[[int], int]:
    """Lanes of a full register; a half one (bit Q clear) has half as many."""
    return lambda word: lanes if word >> 30 & 1 else lanes // 2


def fp32_or_fp64(word: int) -> int:
    """fp64 (bit sz set) has two lanes; fp32 four or two."""
    return 2 if word >> 22 & 1 else whole_or_half(4)(word)


# Arm ARM (DDI 0487) C4.1: Advanced SIMD three same and vector by indexed element; floating-point, three sources.
MAC_CLASSES = (
    MacClass(0xBFA0FC00, 0x0E20CC00, fp32_or_fp64),  # fmla v, v, v
    MacClass(0xBF80F400, 0x0F801000, fp32_or_fp64),  # fmla v, v, v[i]
    MacClass(0xBF80F400, 0x0F805000, fp32_or_fp64),  # fmls v, v, v[i]
    MacClass(0xBFE0FC00, 0x0E400C00, whole_or_half(8)),  # fmla v.8h, v.8h, v.8h
    MacClass(0xBFC0F400, 0x0F001000, whole_or_half(8)),  # fmla v.8h, v.8h, v.h[i]
    MacClass(0xFF208000, 0x1F000000, lambda word: 1),  # fmadd
)


def macs_of(word: int) -> int:
    return next((row.lanes(word) for row in MAC_CLASSES if word & row.mask == row.value), 0)


@dataclass(frozen=True)
class Block:
    address: int
    count: int
    words: tuple[int, ...]


@dataclass(frozen=True)
class Region:
    laps: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def instructions(self) -> int:
        return sum(block.count * len(block.words) for block in self.blocks)

    @property
    def macs(self) -> int:
        return sum(block.count * macs_of(word) for block in self.blocks for word in block.words)


def read_region(path: Path) -> Region:
    first, *lines = path.read_text().splitlines()
    return Region(tuple(map(int, first.split()[1:])), tuple(map(parse_block, lines)))


def parse_block(line: str) -> Block:
    address, count, code = line.split()
    words = tuple(int(code[at : at + 8], 16) for at in range(0, len(code), 8))
    return Block(int(address, 16), int(count), words)


def build_plugin(folder: Path) -> Path:
    library = folder / "libcount.so"
    call(["gcc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(library), str(TOOLS / "count.c")])
    return library


def measure(layout: Layout, cpu: str, plugin: Path) -> dict[str, Any]:
    """The figures of one core, as plain data."""
    out, described = layout.root / f"count-{cpu}", layout.root / f"count-{cpu}.json"
    script = [str(TOOLS / "reference_net.py"), str(described)]
    code = emulate.run(layout, cpu, script, f"{plugin},out={out}")
    if code != 0:
        sys.exit(f"count: the reference network must run on {cpu}, got exit status {code}; see its output above")
    about = json.loads(described.read_text())
    whole, steps = read_region(out.with_name(out.name + ".1")), read_region(out.with_name(out.name + ".2"))
    laps = steps.laps[-len(about["steps"]) - 1 :]
    spent = [after - before for before, after in itertools.pairwise(laps)]
    kernels: dict[str, dict[str, int]] = {}
    for step, instructions in zip(about["steps"], spent, strict=True):
        row = kernels.setdefault(step["kernel"], {"calls": 0, "instructions": 0, "macs": 0})
        row["calls"] += 1
        row["instructions"] += instructions
        row["macs"] += step["macs"]
    return {
        "cpu": cpu,
        "instructions": whole.instructions,
        "model_macs": MODEL_MACS,
        "executed_macs": whole.macs,
        "kernels": kernels,
        "steps": [{**step, "instructions": count} for step, count in zip(about["steps"], spent, strict=True)],
        "functions": dict(functions(layout, whole, about["base"])),
    }


def functions(layout: Layout, region: Region, base: int) -> Iterator[tuple[str, int]]:
    """Instructions by function of the native module, most first; all else is one entry."""
    (module,) = (layout.site / "thew/runtime").glob("_native*.so")
    listing = subprocess.run(["nm", "-nC", "--defined-only", str(module)], capture_output=True, text=True, check=True)
    # Not "$x" and "$d", which mark code and data.
    rows = [line.split(" ", 2) for line in listing.stdout.splitlines() if line[17:18] in "tTwW" and line[19] != "$"]
    starts = [int(row[0], 16) for row in rows]
    size = module.stat().st_size
    spent: Counter[str] = Counter()
    for block in region.blocks:
        at = bisect.bisect_right(starts, block.address - base) - 1
        inside = at >= 0 and block.address - base < size
        spent[rows[at][2] if inside else "outside the module"] += block.count * len(block.words)
    yield from spent.most_common()


def show(figures: dict[str, Any], most_functions: int, every_step: bool) -> None:
    total, macs = figures["instructions"], figures["model_macs"]
    print(
        f"\n{figures['cpu']}: {total / 1e6:.2f} M instructions an inference, {total / macs:.4f} a multiply-accumulate;",
        end="",
    )
    print(f" executed over model multiply-accumulates {figures['executed_macs'] / macs:.3f}")
    print(f"  {'kernel':<44}{'calls':>6}{'M instructions':>16}{'share':>8}{'a MAC':>9}")
    for kernel, row in sorted(figures["kernels"].items(), key=lambda entry: -entry[1]["instructions"]):
        show_row(kernel, row["calls"], row["instructions"], row["macs"], total)
    for step in figures["steps"] if every_step else ():
        show_row(f"  {step['name']}: {step['kernel']}", 1, step["instructions"], step["macs"], total)
    for name, count in list(figures["functions"].items())[:most_functions]:
        print(f"  {count / 1e6:10.3f} M {100 * count / total:5.1f} %  {name[:150]}")


def show_row(name: str, calls: int, instructions: int, macs: int, total: int) -> None:
    each = f"{instructions / macs:9.4f}" if macs else " " * 9
    print(f"  {name:<44}{calls:>6}{instructions / 1e6:>16.3f}{100 * instructions / total:>7.1f}%{each}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=default_layout().root)
    parser.add_argument("--cpu", action="append", choices=CORES, help="may be given several times")
    parser.add_argument("--steps", action="store_true", help="also every step")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="also the N costliest functions")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    layout = Layout(options.root.resolve())
    plugin = build_plugin(layout.root)
    figures = [measure(layout, cpu, plugin) for cpu in options.cpu or ("cortex-a72", "cortex-a76")]
    for one in figures:
        show(one, options.functions, options.steps)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
