"""The report of the study of searches as Markdown, made of its files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.study.searches import IN_FP32, PARTS, SHORT, TOGETHER
from thew.bench.study.tables import about_machine, head
from thew.bench.study.transfers import SAMPLES
from thew.files import write_atomically
from thew.search.space import LEVELS

_METHOD = (
    "Plans are timed in turn with the default plan and BLAS in fp32; accuracy is that on samples that neither "
    "calibration nor search had seen."
)


def write_search_report(folder: Path, names: Sequence[str], plots: bool = True) -> Path:
    """Writes the report of the pieces that are there, and the curves as a plot."""
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for part, found in parts.items():
        for name in names:
            path = folder / f"{name}_{part}.json"
            if path.exists():
                found[name] = json.loads(path.read_text())
    reports = [report for found in parts.values() for report in found.values()]
    about = about_machine(reports, _METHOD)
    lines = ["# Study of searches", "", *about, *_plans(list(parts["all"].values()))]
    lines += [*_beside_peers(list(parts["all"].values()))]
    lines += [*_in_fp32([*parts[IN_FP32].values(), *parts[TOGETHER].values()]), *_levels(parts)]
    lines += [*_agents(list(parts["agents"].values())), *_transfers(list(parts["transfer"].values()))]
    if plots and parts["agents"]:
        _plot(list(parts["agents"].values()), folder / "curves.svg")
        lines += ["![Regret by episode](curves.svg)", ""]
    path = folder / "index.md"
    write_atomically(path, "\n".join(lines))
    return path


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from head(columns)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _plans(reports: Sequence[Any]) -> Iterator[str]:
    yield from (f"## Found plans, an accuracy drop of one point allowed, {_threads(reports)}", "")
    rows = []
    for report in reports:
        found = report["search"]
        seen = found["confirmation"]
        rows.append(
            (
                report["network"],
                *(f"{1e3 * found[name]['seconds']:.3f}" for name in ("baseline", "default", "best")),
                f"{found['speedup']:.2f}",
                f"{found['speedup_over_default']:.2f}",
                f"{found['memory_ratio']:.2f}",
                f"{100 * seen['reference']:.1f} → {100 * seen['found']:.1f} % of {seen['samples']}",
                f"{100 * found['hypervolume']:.0f} %",
                f"{sum(found['stages'].values()):.0f}; {found['stages']['measuring']:.0f}",
            )
        )
    columns = (
        "network",
        "BLAS ms",
        "default ms",
        "found ms",
        "× BLAS",
        "× default",
        "memory, BLAS over it",
        "accuracy",
    )
    yield from _table((*columns, "hypervolume", "seconds; measuring"), rows)
    if rows:
        ratios = [[float(row[column]) for row in rows] for column in (4, 5, 6)]
        medians = ", ".join(f"{statistics.median(values):.2f}" for values in ratios)
        yield f"Medians: {medians}; best {', '.join(f'{max(values):.2f}' for values in ratios)}."
        yield ""


def _threads(reports: Sequence[Any]) -> str:
    return ", ".join(map(_named, sorted({report["search"]["settings"]["threads"] for report in reports})))


def _named(threads: int) -> str:
    return "one thread" if threads == 1 else f"{threads} threads"


def _beside_peers(reports: Sequence[Any]) -> Iterator[str]:
    """Their time over the found plan's."""
    found = {report["network"]: {one["name"]: one for one in report["search"]["rivals"]} for report in reports}
    names = list(dict.fromkeys(name for rivals in found.values() for name in rivals))
    if not names:
        return
    yield from (f"## Peers beside these plans (their time over the plan's, {_threads(reports)})", "")
    rows = [
        (network, *(f"{rivals[name]['ratio']:.2f}" if name in rivals else "" for name in names))
        for network, rivals in found.items()
    ]
    yield from _table(("network", *names), rows)
    versions = {name.split(" ")[0]: one["version"] for rivals in found.values() for name, one in rivals.items()}
    yield from (f"{', '.join(f'{name} {version}' for name, version in versions.items())}. int8: on the QDQ model that "
                "the search's own calibration makes.", "")  # fmt: skip


def _in_fp32(reports: Sequence[Any]) -> Iterator[str]:
    if not reports:
        return
    yield from ("## Found plans in fp32 against the default plan, in rounds of their own", "")
    found = [report["search"] for report in reports]
    rows = [
        (
            report["network"],
            str(one["settings"]["threads"]),
            f"{1e3 * one['default']['seconds']:.3f}",
            f"{one['confirmed_over_default']:.3f}",
            f"{(one['default']['estimated_seconds'] or nan) / one['optimum_seconds']:.3f}",
        )
        for report, one in zip(reports, found, strict=True)
    ]
    columns = ("network", "threads", "default ms", "× default", "default in the table over its exact optimum")
    yield from _table(columns, rows)
    for threads in sorted({one["settings"]["threads"] for one in found}):
        gained = [one["confirmed_over_default"] for one in found if one["settings"]["threads"] == threads]
        count = _named(threads).capitalize()
        yield f"{count}: median {statistics.median(gained):.3f}, least {min(gained):.3f}, best {max(gained):.3f}."
        yield ""


def _levels(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from ("## What each level brings alone (times the speed of BLAS in fp32; memory of BLAS over it)", "")
    columns = ("network", "default plan", *(f"{level} only" for level in LEVELS), "all")
    rows = []
    for name, report in parts["all"].items():
        usual, base = report["search"]["default"], report["search"]["baseline"]
        speed, memory = (base[what] / usual[what] for what in ("seconds", "peak_memory_bytes"))
        alone = [parts[part][name]["search"] if name in parts[part] else None for part in (*LEVELS, "all")]
        cells = (f"{one['speedup']:.2f}; {one['memory_ratio']:.2f}" if one else "" for one in alone)
        rows.append((name, f"{speed:.2f}; {memory:.2f}", *cells))
    yield from _table(columns, rows)


def _agents(reports: Sequence[Any]) -> Iterator[str]:
    for part, title in (("regrets_short", f"after {SHORT} episodes"), ("regrets", "at the end")):
        yield from (f"## Regret against the exact optimum, {title} (median over seeds; quartiles)", "")
        names = list(dict.fromkeys(name for report in reports for name in report["agents"]))
        rows = []
        for name in names:
            cells = []
            for report in reports:
                low, middle, high = np.quantile(report["agents"][name][part], (0.25, 0.5, 0.75)) * 100
                cells.append(f"{middle:.2f} % ({low:.2f} to {high:.2f})")
            seconds = statistics.median(report["agents"][name]["seconds"] for report in reports)
            episodes = reports[0]["agents"][name]["episodes"]
            rows.append((name, *cells, f"{seconds:.2f} for {episodes}"))
        yield from _table(("agent", *(report["network"] for report in reports), "seconds"), rows)


def _transfers(reports: Sequence[Any]) -> Iterator[str]:
    if not reports:
        return
    yield from ("## From one device to another", "")
    yield "A device with the lesser instruction sets alone stands for another one; fp32, every row on one of both only."
    yield ""
    rows = []
    for report in reports:
        for name, words in (("same_layers", "all networks there"), ("other_networks", "other networks there")):
            found = report["transfer"].get(name, {})
            if "survey" in found:
                errors = (
                    f"{100 * one['median_error']:.0f} %; {one['rank_correlation']:.3f}" for one in found["agreements"]
                )
                seen = found["survey"]
                measured = f"{seen['ways'] - seen['left']} of {seen['ways']}"
                rows.append((report["network"], words, *errors, measured, f"{100 * seen['regret']:.2f} %"))
    errors = (f"error; rank correlation, {n} samples" for n in SAMPLES)
    yield from _table(("network", "learnt from", *errors, "ways measured", "regret of the optimum"), rows)


def _plot(reports: Sequence[Any], path: Path) -> None:
    from thew.bench.study.plots import save

    def draw(figure: Any, rows: Sequence[Any]) -> None:
        for axes, report in zip(figure.subplots(1, len(rows), sharey=True, squeeze=False)[0], rows, strict=True):
            for name, found in report["agents"].items():
                curve = found["curve"]
                (line,) = axes.plot(curve["episode"], np.maximum(curve["median"], 1e-4), label=name)
                between = (np.maximum(curve[side], 1e-4) for side in ("low", "high"))
                axes.fill_between(curve["episode"], *between, color=line.get_color(), alpha=0.15)
            axes.set(title=report["network"], xscale="log", yscale="log", xlabel="episodes")
        figure.axes[0].set_ylabel("regret")
        figure.axes[-1].legend(fontsize=7)

    save(draw, reports, path)
