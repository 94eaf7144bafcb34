"""The report of a study as Markdown, made of its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from thew.bench.study.plots import write_plots
from thew.bench.study.tables import Files, Row, ordered, read
from thew.bench.study.techniques import label, named
from thew.files import write_atomically

NAME = "index.md"


def write_report(model: str, paths: Sequence[Path], folder: Path, plots: bool = True) -> Path:
    """Writes the report, and its plots beside it, of the pieces that are measured.

    Args:
        model: its name, for the title.
        paths: the pieces' files; those that are missing are left out.
        folder: where the report goes.
        plots: draw them too; needs matplotlib.

    Raises:
        UnsupportedError: plots are wanted and matplotlib is not installed.
    """
    files = read(paths)
    drawn = write_plots(files, folder) if plots else []
    lines = [f"# Study of {model}", "", *_machine(files), *_peers(files, drawn), *_techniques(files, drawn)]
    path = folder / NAME
    write_atomically(path, "\n".join([*lines, *_absent(files), *_method(files)]) + "\n")
    return path


def _machine(files: Files) -> Iterator[str]:
    if not files.reports:
        return
    report = files.reports[-1]
    machine = report["machine"]
    caches = machine["caches"]
    yield (
        f"Machine: {machine['cpu']} ({machine['architecture']}), {len(machine['cpus_allowed'])} CPUs, best instruction "
        f"set {machine['isas'][0]}; caches of one core: {caches['l1_bytes'] // 1024} KiB L1D, "
        f"{caches['l2_bytes'] // 1024} KiB L2; governor {machine['governor'] or 'not told'}; "
        f"Linux {machine['kernel']}. Multiply-add peak of one core: "
        + ", ".join(f"{value / 1e9:.0f} GFLOP/s {dtype}" for dtype, value in machine["peak_flops_one_core"].items())
        + "."
    )
    yield ""
    versions: dict[str, str] = {}
    for one in files.reports:
        for result in one["results"]:
            for contender in result["contenders"]:
                versions.update(contender["versions"])
    known = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    commits = ", ".join(dict.fromkeys(str(one["commit"]) for one in files.reports))
    days = [one["when"] for one in files.reports]
    yield f"Versions: Python {report['versions']['python']}, {known}. Commit {commits}; {min(days)} to {max(days)}."
    yield ""


def _peers(files: Files, drawn: Iterable[str]) -> Iterator[str]:
    rows = files.of("peers")
    if not rows:
        return
    yield "## Throughput, latency and energy"
    yield ""
    yield "fp32. × Thew is the median over rounds of the peer's time over Thew's: above 1, Thew is faster."
    yield ""
    for name in drawn:
        if name != "techniques.svg":
            yield f"![{name.removesuffix('.svg')}]({name})"
            yield ""
    for threads, batch, mhz in dict.fromkeys((row.threads, row.batch, row.mhz) for row in rows):
        chosen = [row for row in rows if (row.threads, row.batch, row.mhz) == (threads, batch, mhz)]
        clock = f", clock capped at {mhz} MHz" if mhz is not None else ""
        yield f"### {threads} thread{'s' * (threads > 1)}, batch {batch}{clock}"
        yield ""
        has_energy = any(row.joules_per_image is not None for row in chosen)
        head = [
            "contender",
            "images/s",
            "fastest ms",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "calls",
            "× Thew",
            "% of peak",
            "peak RSS MB",
        ]
        yield from _table(
            [*head, *(["J/image"] if has_energy else [])], (_peer_cells(row, has_energy) for row in chosen)
        )
    if all(row.joules_per_image is None for row in rows):
        reasons = dict.fromkeys(
            r["energy"]["absent"] for one in files.reports for r in one["results"] if "absent" in r["energy"]
        )
        yield f"Energy was not measured. {'; '.join(reasons)}."
        yield ""
    yield from _scaling(rows)


def _peer_cells(row: Row, has_energy: bool) -> list[str]:
    joules = "-" if row.joules_per_image is None else f"{row.joules_per_image:.3g}"
    return [
        named(row.contender),
        f"{row.images_per_second:.2f}",
        *map(_milliseconds, (row.fastest, row.p50, row.p90, row.p99)),
        str(row.calls),
        f"{row.ratio:.2f}",
        "-" if row.share_of_peak is None else f"{100 * row.share_of_peak:.0f}",
        f"{row.peak_rss_bytes / 1e6:.0f}",
        *([joules] if has_energy else []),
    ]


def _scaling(rows: Sequence[Row]) -> Iterator[str]:
    """Throughput with more threads over that with the fewest; from different pieces, so noisier than a ratio."""
    counts = ordered(rows, "threads")
    if len(counts) < 2:
        return
    yield "### More threads"
    yield ""
    yield f"Throughput over that with {counts[0]} thread{'s' * (counts[0] > 1)} (taken in different pieces)."
    yield ""
    rates = {(row.contender, row.threads, row.batch): row.images_per_second for row in rows if row.mhz is None}
    pairs = [(threads, batch) for batch in ordered(rows, "batch") for threads in counts[1:]]
    cells = []
    for contender in ordered(rows, "contender"):
        found = [
            (rates.get((contender, threads, batch)), rates.get((contender, counts[0], batch)))
            for threads, batch in pairs
        ]
        cells.append([named(contender), *("-" if a is None or b is None else f"{a / b:.2f}" for a, b in found)])
    yield from _table(["contender", *(f"{threads} threads, batch {batch}" for threads, batch in pairs)], cells)


def _techniques(files: Files, drawn: Iterable[str]) -> Iterator[str]:
    rows = files.of("techniques")
    if not rows:
        return
    yield "## What each technique brings"
    yield ""
    first = rows[0]
    yield (
        f"Thew with {first.threads} thread{'s' * (first.threads > 1)} at batch {first.batch}, interleaved in one run. "
        "Over all is the time of a variant over that with all techniques: what leaving it out costs. Speed-up is the "
        "time without any technique over the variant's: what it brings alone."
    )
    yield ""
    if "techniques.svg" in drawn:
        yield "![techniques](techniques.svg)"
        yield ""
    none = next((row for row in rows if label(row.contender) == "without any technique"), None)
    yield from _table(
        ["variant", "fastest ms", "p50 ms", "over all", "speed-up", "planned MB", "difference of outputs"],
        (
            [
                label(row.contender),
                _milliseconds(row.fastest),
                _milliseconds(row.p50),
                f"{row.ratio:.2f}",
                f"{none.ratio / row.ratio:.2f}" if none is not None else "-",
                "-" if row.planned_bytes is None else f"{row.planned_bytes / 1e6:.1f}",
                f"{row.difference:.1e}",
            ]
            for row in rows
        ),
    )


def _absent(files: Files) -> Iterator[str]:
    reasons: dict[str, None] = {}
    for report in files.reports:
        for result in report["results"]:
            reasons.update(dict.fromkeys(f"- {reason}" for reason in result["absent"].values()))
    if reasons:
        yield from ("## Left out", "", *reasons, "")


def _method(files: Files) -> Iterator[str]:
    yield "## How it was measured"
    yield ""
    yield (
        "Each piece is one interleaved run: a process a contender, stopped whenever it is not its turn, in an order "
        "that rotates; each with its best setting, on the same input; outputs compared. The JSON files beside this "
        "page hold every round's times, settings, versions, and the load before and after. Made by:"
    )
    commands = dict.fromkeys(report["command"] for report in files.reports)
    yield from ("", "```sh", *commands, "```")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds >= 0.01 else f"{seconds * 1e3:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(['---', *(['---:'] * (len(head) - 1))])}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
