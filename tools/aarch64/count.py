"""Counts the instructions of networks on emulated cores, and models their cycles: of Thew, by kernel and by function,
and of peers.

python tools/aarch64/count.py                     the 3×3 reference network on cortex-a72 and cortex-a76
python tools/aarch64/count.py --functions 8       also where in the native module they are spent
python tools/aarch64/count.py --study --json docs/benchmarks/aarch64_counts.json
                                                  all networks, engines, precisions and cores worth comparing

Peers' wheels come with `wheels.py --peers`. Counts are exact and repeatable: they say nothing of time, and emulated
time is never quoted. Modelled cycles (cycles.py) need llvm-22; without it there are none.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import emulate
from counts_page import write_page
from cycles import LLVM, modelled_cycles
from layout import CORES, TOOLS, Layout, call, default_layout
from networks import DQN, NETWORKS, TRAINING, make_files
from regions import Region, read_region

from thew.bench.machine import commit
from thew.files import write_json

ENGINES = ("thew", "ncnn", "mnn", "litert", "onnxruntime")
MOST_FUNCTIONS, MOST_NAME = 12, 160
A72, A76 = "cortex-a72", "cortex-a76"
# What --study counts: networks, precisions, cores, engines.
STUDY = (
    (("reference", "mobilenet_v2", "resnet50"), ("fp32",), (A72, A76), ("thew", "ncnn")),
    (("reference", "mobilenet_v2", "resnet50"), ("fp16",), (A76,), ("thew", "ncnn")),
    (("reference", "mobilenet_v2", "resnet50"), ("int8",), (A76,), ("thew", "onnxruntime")),
    (("reference",), ("fp32",), (A72, A76), ("mnn", "litert", "onnxruntime")),
    (("reference",), ("fp16",), (A76,), ("mnn",)),
    (("nature_cnn",), ("fp32",), (A72, A76), ("thew", "ncnn", "onnxruntime")),
    (("nature_cnn",), ("fp16",), (A76,), ("thew", "ncnn")),
    ((TRAINING, DQN), ("fp32", "mixed-fp16"), (A72, A76), ("thew",)),
)
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
    what: dict[str, Any] = {"network": network, "engine": engine, "precision": precision, "cpu": cpu}
    if code == REFUSED:
        return {**what, "absent": f"{engine} cannot run {network} in {precision} on {cpu}; see its output above"}
    if code != 0:
        return {**what, "absent": f"{engine} ended with exit status {code} (-4: an instruction that {cpu} lacks)"}
    about = json.loads(described.read_text())
    whole = read_region(out.with_name(out.name + ".1"))
    figures = {
        **what,
        "version": about["version"],
        "instructions": whole.instructions,
        "model_macs": model_macs,
        "executed_macs": whole.macs,
    }
    if CORES[cpu].model and shutil.which(f"llvm-mca-{LLVM}"):
        figures["modelled_cycles"] = round(modelled_cycles(whole, CORES[cpu].model))
    if engine != "thew":
        return figures
    figures["commit"] = commit()
    figures["functions"] = dict(itertools.islice(functions(layout, whole, about["base"]), MOST_FUNCTIONS))
    if not about["steps"]:
        return figures
    steps = steps_of(read_region(out.with_name(out.name + ".2")), about["steps"])
    return {**figures, "kernels": by_kernel(steps), "steps": steps}


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
        spent[short(rows[at][2]) if inside else "outside the module"] += block.instructions
    yield from spent.most_common()


def short(name: str) -> str:
    return name.replace("(anonymous namespace)::", "").replace("thew::", "")[:MOST_NAME]


def show(figures: dict[str, Any], most_functions: int, every_step: bool) -> None:
    what = f"{figures['network']} on {figures['cpu']}, {figures['engine']} {figures['precision']}"
    if "absent" in figures:
        print(f"\n{what}: absent: {figures['absent']}", flush=True)
        return
    total, macs = figures["instructions"], figures["model_macs"]
    print(f"\n{what}: {total / 1e6:.2f} M instructions an inference, {total / macs:.4f} a multiply-accumulate;", end="")
    print(f" executed over model multiply-accumulates {figures['executed_macs'] / macs:.3f}", end="")
    cycles = figures.get("modelled_cycles")
    print(f"; {cycles / 1e6:.2f} M modelled cycles" if cycles else "", flush=True)
    if "kernels" in figures:
        print(f"  {'kernel':<44}{'calls':>6}{'M instructions':>16}{'share':>8}{'a MAC':>9}")
        for kernel, row in sorted(figures["kernels"].items(), key=lambda entry: -entry[1]["instructions"]):
            show_row(kernel, row["calls"], row["instructions"], row["macs"], total)
        for step in figures["steps"] if every_step else ():
            show_row(f"  {step['name']}: {step['kernel']}", 1, step["instructions"], step["macs"], total)
    for name, count in list(figures.get("functions", {}).items())[:most_functions]:
        print(f"  {count / 1e6:10.3f} M {100 * count / total:5.1f} %  {name}")


def show_row(name: str, calls: int, instructions: int, macs: int, total: int) -> None:
    each = f"{instructions / macs:9.4f}" if macs else " " * 9
    print(f"  {name:<44}{calls:>6}{instructions / 1e6:>16.3f}{100 * instructions / total:>7.1f}%{each}")


def summary(figures: Sequence[dict[str, Any]]) -> None:
    """One line a count; with the ratio to Thew's where both are there."""
    own = {asked(f)[1:]: f.get("instructions") for f in figures if f["engine"] == "thew"}
    heads = f"{'M instructions':>15}{'a MAC':>8}{'M cycles':>10}{'× thew':>8}"
    print(f"\n{'network':<17}{'core':<12}{'precision':<12}{'engine':<13}{heads}")
    for one in figures:
        if "absent" in one:
            continue
        base, total, cycles = own.get(asked(one)[1:]), one["instructions"], one.get("modelled_cycles")
        cells = f"{total / 1e6:>15.1f}{total / one['model_macs']:>8.4f}{f'{cycles / 1e6:.1f}' if cycles else '-':>10}"
        cells += f"{f'{total / base:.3f}' if base else '-':>8}"
        print(f"{one['network']:<17}{one['cpu']:<12}{one['precision']:<12}{one['engine']:<13}{cells}")


def asked(figures: dict[str, Any]) -> tuple[str, str, str, str]:
    """What was counted: engine, network, precision, core."""
    return figures["engine"], figures["network"], figures["precision"], figures["cpu"]


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
    parser.add_argument("--study", action="store_true", help="all that is compared, instead of these four")
    parser.add_argument("--json", type=Path, help="write the figures there too, and a page of them beside; those of "
                        "peers that stand there are kept, Thew's of this commit too")  # fmt: skip
    options = parser.parse_args()
    layout = Layout(options.root.resolve())
    plugin = build_plugin(layout.root)
    figures: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        figures = json.loads(options.json.read_text())
    for engine, network, precision, cpu in wanted(options):
        key = engine, network, precision, cpu
        standing = next((one for one in figures if asked(one) == key), None)
        if standing and (engine != "thew" or standing.get("commit") == commit()):
            continue
        found = measure(layout, plugin, network, engine, precision, cpu)
        figures = sorted([*(one for one in figures if asked(one) != key), found], key=place)
        show(found, options.functions, options.steps)
        if options.json:
            write_json(options.json, figures)
            write_page(figures, options.json.with_suffix(".md"))
    summary(figures)


def wanted(options: argparse.Namespace) -> Iterator[tuple[str, str, str, str]]:
    """Engine, network, precision and core of each count."""
    own = (
        chosen(options.network, NETWORKS, "network"),
        options.precision.split(","),
        chosen(options.cpu, list(CORES), "cpu"),
        chosen(options.engine, ENGINES, "engine"),
    )
    for networks, precisions, cpus, engines in STUDY if options.study else (own,):
        for network, precision, cpu, engine in itertools.product(networks, precisions, cpus, engines):
            yield engine, network, precision, cpu


def place(figures: dict[str, Any]) -> tuple[int, str, str, int]:
    """Where figures stand among others."""
    engine, network, precision, cpu = asked(figures)
    return NETWORKS.index(network), precision, cpu, ENGINES.index(engine)


if __name__ == "__main__":
    main()
