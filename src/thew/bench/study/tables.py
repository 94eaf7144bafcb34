"""A study's files as rows: one a contender and piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """What one contender reached in one piece; times are of one call, which does `batch` images."""

    kind: str
    threads: int
    batch: int
    mhz: int | None
    contender: str
    fastest: float
    p50: float
    p90: float
    p99: float
    calls: int
    ratio: float
    difference: float
    peak_rss_bytes: int
    flops: int
    share_of_peak: float | None
    planned_bytes: int | None
    joules_per_image: float | None

    @property
    def images_per_second(self) -> float:
        """Throughput at the median."""
        return self.batch / self.p50


@dataclass(frozen=True)
class Files:
    """All of a study: rows in the order measured, and the reports they are from."""

    rows: tuple[Row, ...]
    reports: tuple[dict[str, Any], ...]

    def of(self, kind: str) -> list[Row]:
        """The rows of a kind of piece."""
        return [row for row in self.rows if row.kind == kind]


def read(paths: Iterable[Path]) -> Files:
    """Reads the files of the pieces that there are."""
    reports = [json.loads(path.read_text()) for path in paths if path.exists()]
    return Files(tuple(row for report in reports for row in _rows(report)), tuple(reports))


def _rows(report: dict[str, Any]) -> Iterable[Row]:
    piece, (result,) = report["piece"], report["results"]
    for found in result["contenders"]:
        times, energy = found["percentiles_seconds"], found.get("energy")
        yield Row(
            kind=piece["kind"],
            threads=piece["threads"],
            batch=piece["batch"],
            mhz=piece["mhz"],
            contender=found["name"],
            fastest=found["minimum_seconds"],
            p50=times["p50"],
            p90=times["p90"],
            p99=times["p99"],
            calls=found["timed_calls"],
            ratio=found["ratio_to_first"],
            difference=found["difference_from_first"],
            peak_rss_bytes=found["peak_rss_bytes"],
            flops=result["flops"],
            share_of_peak=_share(found["rounds_seconds"], result["peak_flops"], result["flops"]),
            planned_bytes=found["settings"].get("planned_memory_bytes"),
            joules_per_image=energy["joules_per_call_above_idle"] / piece["batch"] if energy else None,
        )


def _share(seconds: Sequence[float], peaks: Sequence[float], flops: int) -> float | None:
    """Median over rounds of the rate over the multiply-add peak measured in the same round."""
    shares = sorted(flops / time / peak for time, peak in zip(seconds, peaks, strict=False) if peak)
    return shares[len(shares) // 2] if shares else None


def ordered(rows: Iterable[Row], key: str) -> list[Any]:
    """The different values of a field, rising; contenders in the order in which they appear."""
    values = dict.fromkeys(getattr(row, key) for row in rows)
    return list(values) if key == "contender" else sorted(values, key=lambda value: (value is None, value))


def about_machine(reports: Sequence[Any], method: str) -> Iterable[str]:
    """What the last report was taken on, and how all were; nothing where there is none."""
    for report in reports[-1:]:
        machine = report["machine"]
        cpus = f"{machine['cpu']}, {len(machine['cpus_allowed'])} CPUs, best instruction set {machine['isas'][0]}"
        yield from (f"Machine: {cpus}. {method}", "")


def head(columns: Sequence[str]) -> Iterable[str]:
    """The first two lines of a table in Markdown."""
    return (f"| {' | '.join(columns)} |", "|" + "---|" * len(columns))
