"""What a search comes to, on a terminal: the plan beside the default one, BLAS and peers, its layers, what it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median
from typing import TYPE_CHECKING

from thew.cli import show

if TYPE_CHECKING:
    from thew.search import Result
    from thew.search.result import Layer, Point

_SLOWEST = 8  # layers that are shown


def result(found: Result) -> None:
    """The whole summary."""
    settings = found.settings
    threads = "one thread" if settings["threads"] == 1 else f"{settings['threads']} threads"
    _plans(found, f"{settings['model']} on {settings['device']}, {threads}")
    _layers(found)
    _accuracy(found)
    _search(found)
    if (there := settings["transfer"]) is not None:
        show.line(
            f"another device's times, corrected by {there['samples']} of this one, met {there['held_out']} others "
            f"within {there['median_error']:.0%} (median; rank correlation {there['rank_correlation']:.2f}); "
            f"{there['left']} ways were not measured"
        )
    show.line(
        f"{found.speedup:.2f}× the speed of BLAS fp32 in {found.memory_ratio:.2f}× less memory, "
        f"{1 / found.over_default:.2f}× the speed of the default plan"
    )


def _plans(found: Result, title: str) -> None:
    """Plans, BLAS and peers, the fastest first; what they take over what the found plan takes."""
    best = found.best
    rows = [
        (
            point.seconds,
            f"{_name(point, found)}{' ◀ taken' if point.name == best.name else ''}",
            f"{point.seconds / best.seconds:.2f}×",
            show.size(point.peak_memory_bytes),
            f"{point.peak_memory_bytes / best.peak_memory_bytes:.2f}×",
            _accuracy_of(point, found),
        )
        for point in (*found.points, found.baseline)
    ]
    rows += [(one.ratio * best.seconds, one.name, f"{one.ratio:.2f}×", "", "", "") for one in found.rivals]
    columns = ("plan", "ms", "× taken", "memory", "× taken", "accuracy")
    cells = [(name, f"{1e3 * seconds:.3f}", *rest) for seconds, name, *rest in sorted(rows)]
    show.table(title, columns if best.accuracy is not None else columns[:-1], [row[: len(columns)] for row in cells])


def _name(point: Point, found: Result) -> str:
    """Who found a plan, where that was somebody."""
    return f"found by {point.name}" if point.name in found.history else point.name


def _accuracy_of(point: Point, found: Result) -> str:
    """On the samples of the search; marked where it is out of bounds."""
    if point.accuracy is None or found.default.accuracy is None:
        return ""
    lost, most = found.default.accuracy.right - point.accuracy.right, found.settings["max_accuracy_drop"]
    is_out = most is not None and lost > most * point.accuracy.asked
    return f"{100 * point.accuracy.share:.1f} %{' ✗' if is_out else ''}"


def _layers(found: Result) -> None:
    total = sum(layer.seconds for layer in found.layers) or 1.0
    slowest = sorted(found.layers, key=lambda layer: -layer.seconds)[:_SLOWEST]
    show.table(
        f"The slowest of {len(found.layers)} layers; the report says of each why not otherwise",
        ("layer", "op", "runs in", "µs", "of all", "by"),
        [(one.name, one.op, one.precision, f"{1e6 * one.seconds:.1f}", f"{one.seconds / total:.1%}", one.chosen)
         for one in slowest],
    )  # fmt: skip
    show.line(f"layers: {_precisions(found.layers)}")


def _precisions(layers: tuple[Layer, ...]) -> str:
    """How many layers compute in which precision, and in what share of the time."""
    total = sum(layer.seconds for layer in layers) or 1.0
    counts, seconds = Counter(layer.precision for layer in layers), defaultdict[str, float](float)
    for layer in layers:
        seconds[layer.precision] += layer.seconds
    return ", ".join(f"{n} in {name} ({seconds[name] / total:.0%} of the time)" for name, n in counts.most_common())


def _accuracy(found: Result) -> None:
    if (seen := found.confirmation) is None:
        return
    low, high = seen.found.interval
    show.line(
        f"accuracy on {seen.found.asked} samples that neither calibration nor search had seen: "
        f"{100 * seen.found.share:.1f} % ({100 * low:.1f} to {100 * high:.1f}), "
        f"{100 * seen.reference.share:.1f} % as the model was"
    )


def _search(found: Result) -> None:
    agent, settings = found.settings["agent"], found.settings
    regrets = ", ".join(f"{name} {median(values):.2%}" for name, values in found.regrets.items())
    measuring = sum(found.stages.get(stage, 0.0) for stage in ("trying settings", "measuring"))
    show.line(f"regret of the exact optimum after {settings['episodes']} episodes of {agent} and others: {regrets}")
    show.line(f"{sum(found.stages.values()):.0f} s, {measuring:.0f} of them for measurements, which are kept")
