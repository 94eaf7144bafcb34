"""Runs a float graph over samples and looks at values within: extremes, histograms, means and extremes of channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from thew.compress.calibration import Histogram
from thew.compress.samples import Feeds, batches
from thew.ir import Graph
from thew.ir.graph import Array
from thew.runtime.session import InferenceSession

Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def values_of(graph: Graph, names: Sequence[str], feeds: Feeds, batch: int, threads: int) -> Iterator[dict[str, Array]]:
    """The values of these names, batch by batch."""
    given = [name for name in names if name in feeds]
    made = tuple(name for name in names if name not in feeds)
    session = InferenceSession(graph.replace(outputs=made), threads=threads) if made else None
    for part in batches(feeds, batch):
        found = {name: part[name] for name in given}
        if session is not None:
            found.update(zip(made, session.run(None, part), strict=True))
        yield found


@dataclass
class Seen:
    """What was seen of some values.

    Attributes:
        histograms: by value.
        channel_highs: the most of each channel (axis 1), by value.
    """

    histograms: dict[str, Histogram] = field(default_factory=dict)
    channel_highs: dict[str, Array] = field(default_factory=dict)


def observe(
    graph: Graph, names: Sequence[str], feeds: Feeds, batch: int, threads: int, progress: Progress = silent
) -> Seen:
    """Looks at values over all whole batches: once for their ends, once to count."""
    seen = Seen()
    count = min(map(len, feeds.values())) // batch
    for number, found in enumerate(values_of(graph, names, feeds, batch, threads)):
        progress("observing", number, 2 * count)
        for name, array in found.items():
            _widen(seen, name, array)
    for number, found in enumerate(values_of(graph, names, feeds, batch, threads)):
        progress("observing", count + number, 2 * count)
        for name, array in found.items():
            seen.histograms[name].add(array)
    progress("observing", 2 * count, 2 * count)
    return seen


def _widen(seen: Seen, name: str, array: Array) -> None:
    finite = array if np.isfinite(array).all() else np.where(np.isfinite(array), array, np.float32(0))
    histogram = seen.histograms.setdefault(name, Histogram(0.0, 0.0))
    histogram.low = min(histogram.low, float(finite.min(initial=0.0)))
    histogram.high = max(histogram.high, float(finite.max(initial=0.0)))
    if finite.ndim >= 2 and finite.size:
        high = finite.max(axis=(0, *range(2, finite.ndim)))
        seen.channel_highs[name] = np.maximum(seen.channel_highs.get(name, high), high)
