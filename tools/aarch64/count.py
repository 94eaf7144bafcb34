"""Counts the instructions of networks on emulated cores: in total, per kernel and per function; of Thew and of peers.

python tools/aarch64/count.py                     the 3×3 reference network on cortex-a72 and cortex-a76
python tools/aarch64/count.py --functions 8       also where in the native module they are spent
python tools/aarch64/count.py --network all --engine all --precision fp32,fp16 --json counts.json

Peers' wheels come with `wheels.py --peers`. Counts are exact and repeatable: they say nothing of time, and emulated
time is never quoted.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import emulate
from layout import CORES, TOOLS, Layout, call, default_layout
from networks import NETWORKS, make_files
from regions import Region, read_region

from thew.bench.machine import commit

ENGINES = ("thew", "ncnn", "mnn", "litert", "onnxruntime")
MOST_FUNCTIONS = 30
REFUSED = 3  # the guest's exit status where an engine does not have what is asked for


def build_plugin(folder: Path) -> Path:
    library = folder / "libcount.so"
    call(["gcc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(library), str(TOOLS / "count.c")])
    return library


def measure(layout: Layout, plugin: Path, network: str, engine: str, precision: str, cpu: str) -> dict[str, Any]:
    """The figures of one engine on one core, as plain data; with "absent" where it does not have the precision."""
    files = layout.root / "networks" / network
    model_macs = make_files(network, files)["model_macs"]
    out = layout.root / f"count-{cpu}"
    described = out.with_suffix(".json")
    script = [str(TOOLS / "guest.py"), engine, str(files), precision, str(described)]
    code = emulate.run(layout, cpu, script, f"{plugin},out={out}")
    asked: dict[str, Any] = {"network": network, "engine": engine, "precision": precision, "cpu": cpu}
    if code == REFUSED:
        return {**asked, "absent": f"{engine} cannot run {network} in {precision} on {cpu}; see its output above"}
    if code != 0:
        return {**asked, "absent": f"{engine} ended with exit status {code} (-4: an instruction that {cpu} lacks)"}
    about = json.loads(described.read_text())
    whole = read_region(out.with_name(out.name + ".1"))
    figures = {
        **asked,
        "version": about["version"],
        "instructions": whole.instructions,
        "model_macs": model_macs,
        "executed_macs": whole.macs,
    }
    if engine != "thew":
        return figures
    steps = steps_of(read_region(out.with_name(out.name + ".2")), about["steps"])
    return {
        **figures,
        "commit": commit(),
        "kernels": by_kernel(steps),
        "steps": steps,
        "functions": dict(itertools.islice(functions(layout, whole, about["base"]), MOST_FUNCTIONS)),
    }


def steps_of(region: Region, described: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Instructions of each step: the profiler reads the clock before the first and after each."""
    laps = region.laps[-len(described) - 1 :]
    spent = [after - before for before, after in itertools.pairwise(laps)]
    return [{**step, "instructions": count} for step, count in zip(described, spent, strict=True)]


def by_kernel(steps: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    kernels: dict[str, dict[str, int]] = {}
    for step in steps:
        row = kernels.setdefault(step["kernel"], {"calls": 0, "instructions": 0, "macs": 0})
        row["calls"] += 1
        row["instructions"] += step["instructions"]
        row["macs"] += step["macs"]
    return kernels


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
    what = f"{figures['network']} on {figures['cpu']}, {figures['engine']} {figures['precision']}"
    if "absent" in figures:
        print(f"\n{what}: absent: {figures['absent']}", flush=True)
        return
    total, macs = figures["instructions"], figures["model_macs"]
    print(f"\n{what}: {total / 1e6:.2f} M instructions an inference, {total / macs:.4f} a multiply-accumulate;", end="")
    print(f" executed over model multiply-accumulates {figures['executed_macs'] / macs:.3f}", flush=True)
    if "kernels" not in figures:
        return
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


def summary(figures: Sequence[dict[str, Any]]) -> None:
    """One line a count; with the ratio to Thew's where both are there."""
    own = {(f["network"], f["precision"], f["cpu"]): f.get("instructions") for f in figures if f["engine"] == "thew"}
    print(
        f"\n{'network':<14}{'core':<12}{'precision':<11}{'engine':<13}{'M instructions':>15}{'a MAC':>8}{'× thew':>8}"
    )
    for one in figures:
        if "absent" in one:
            continue
        base = own.get((one["network"], one["precision"], one["cpu"]))
        total = one["instructions"]
        cells = f"{total / 1e6:>15.1f}{total / one['model_macs']:>8.4f}{f'{total / base:.3f}' if base else '-':>8}"
        print(f"{one['network']:<14}{one['cpu']:<12}{one['precision']:<11}{one['engine']:<13}{cells}")


def chosen(text: str, among: Sequence[str], option: str) -> list[str]:
    names = list(among) if text == "all" else text.split(",")
    if not set(names) <= set(among):
        sys.exit(f"count: --{option} must be all or among {', '.join(among)}, got {text}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=default_layout().root)
    parser.add_argument("--cpu", default="cortex-a72,cortex-a76", help="cores with commas, or all")
    parser.add_argument("--network", default="reference", help=f"with commas: {', '.join(NETWORKS)}; or all")
    parser.add_argument("--engine", default="thew", help=f"with commas: {', '.join(ENGINES)}; or all")
    parser.add_argument("--precision", default="fp32", help="with commas, as InferenceSession takes them")
    parser.add_argument("--steps", action="store_true", help="also every step")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="also the N costliest functions")
    parser.add_argument("--json", type=Path, help="write the figures there too; those that stand there are kept")
    options = parser.parse_args()
    layout = Layout(options.root.resolve())
    plugin = build_plugin(layout.root)
    figures: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        figures = json.loads(options.json.read_text())
    for network, precision, cpu, engine in itertools.product(
        chosen(options.network, NETWORKS, "network"),
        options.precision.split(","),
        chosen(options.cpu, list(CORES), "cpu"),
        chosen(options.engine, ENGINES, "engine"),
    ):
        asked = {"network": network, "engine": engine, "precision": precision, "cpu": cpu}
        if any(asked.items() <= one.items() for one in figures):
            continue
        figures.append(measure(layout, plugin, network, engine, precision, cpu))
        show(figures[-1], options.functions, options.steps)
        if options.json:
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
    summary(figures)


if __name__ == "__main__":
    main()
