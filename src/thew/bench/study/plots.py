"""Plots of a study as SVG files: throughput by batch, latency, energy where it was measured, techniques."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thew.bench.study.tables import Files, Row, ordered
from thew.bench.study.techniques import label, named
from thew.errors import UnsupportedError


def write_plots(files: Files, folder: Path) -> list[str]:
    """Writes the plots that there are data for; returns their files' names.

    Raises:
        UnsupportedError: matplotlib is not installed.
    """
    peers, techniques = files.of("peers"), files.of("techniques")
    drawn = {
        "throughput.svg": (throughput, peers),
        "latency.svg": (latency, peers),
        "energy.svg": (energy, [row for row in peers if row.joules_per_image is not None]),
        "techniques.svg": (ablation, techniques),
    }
    return [name for name, (draw, rows) in drawn.items() if rows and save(draw, rows, folder / name)]


def save(draw: Callable[[Any, Sequence[Any]], None], rows: Sequence[Any], path: Path) -> bool:
    """Draws rows into an SVG file that is the same for the same data.

    Raises:
        UnsupportedError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as missing:
        raise UnsupportedError(
            "plots: need matplotlib, which is not installed; pip install 'thew[plots]', or leave plots out"
        ) from missing
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "thew", "svg.fonttype": "none", "font.size": 9})
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    draw(figure, rows)
    figure.savefig(path, metadata={"Date": None})
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text().splitlines()))
    return True


def throughput(figure: Any, rows: Sequence[Row]) -> None:
    """Images a second by batch, a panel a number of threads."""
    _by_batch(figure, rows, lambda row: row.images_per_second, "images / s")


def energy(figure: Any, rows: Sequence[Row]) -> None:
    """Joules an image above idle by batch, a panel a number of threads."""
    _by_batch(figure, rows, lambda row: row.joules_per_image or 0.0, "J / image above idle")


def _by_batch(figure: Any, rows: Sequence[Row], value: Callable[[Row], float], title: str) -> None:
    counts = ordered(rows, "threads")
    for axes, threads in zip(figure.subplots(1, len(counts), sharey=True, squeeze=False)[0], counts, strict=True):
        for contender in ordered(rows, "contender"):
            line = sorted(
                (row.batch, value(row)) for row in rows if (row.threads, row.contender) == (threads, contender)
            )
            if line:
                axes.plot(
                    *zip(*line, strict=True), marker="o", label=named(contender), lw=2.5 if contender == "thew" else 1
                )
        axes.set(title=f"{threads} thread{'s' * (threads > 1)}", xlabel="batch", ylim=(0, None), xscale="log")
        batches = ordered(rows, "batch")
        axes.set_xticks(batches, [str(batch) for batch in batches], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(title)
    figure.axes[0].legend(fontsize=7)


def latency(figure: Any, rows: Sequence[Row]) -> None:
    """Milliseconds of a call at the smallest batch: the median, with whiskers up to the 90th and 99th percentile."""
    batch = min(row.batch for row in rows)
    chosen = [row for row in rows if row.batch == batch]
    counts = ordered(chosen, "threads")
    for axes, threads in zip(figure.subplots(1, len(counts), sharey=True, squeeze=False)[0], counts, strict=True):
        bars = [row for row in chosen if row.threads == threads]
        places = range(len(bars))
        axes.bar(places, [row.p50 * 1e3 for row in bars], color=["C0" if r.contender == "thew" else "C7" for r in bars])
        for place, row in zip(places, bars, strict=True):
            axes.plot([place, place], [row.p50 * 1e3, row.p99 * 1e3], color="black", lw=1)
            axes.plot([place], [row.p90 * 1e3], color="black", marker="_", ms=10)
        axes.set_xticks(places, [named(row.contender) for row in bars], rotation=40, ha="right")
        axes.set_title(f"{threads} thread{'s' * (threads > 1)}, batch {batch}")
        axes.grid(alpha=0.3, axis="y")
    figure.axes[0].set_ylabel("ms: p50, p90, p99")


def ablation(figure: Any, rows: Sequence[Row]) -> None:
    """Time of each variant over that with all techniques."""
    axes = figure.subplots()
    bars = list(reversed(rows))
    axes.barh([label(row.contender) for row in bars], [row.ratio for row in bars])
    for place, row in enumerate(bars):
        axes.text(row.ratio, place, f" {row.ratio:.2f}", va="center", fontsize=7)
    axes.axvline(1.0, color="black", lw=1)
    axes.set_xlabel("time over that with all techniques")
    axes.grid(alpha=0.3, axis="x")
