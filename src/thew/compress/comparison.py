"""A model before and after: size, memory, accuracy, time, as plain data."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from thew.compress.accuracy import Accuracy
from thew.compress.post_training import read
from thew.compress.speed import race
from thew.dtypes import to_numpy
from thew.ir import Graph
from thew.runtime.session import InferenceSession

Row = dict[str, Any]


def compare(
    before: str | os.PathLike[str] | bytes | Graph,
    after: Graph,
    accuracy_before: Accuracy | None,
    accuracy_after: Accuracy | None,
    threads: int = 1,
) -> dict[str, Row]:
    """What is known of two models of the same inputs, by "before" and "after".

    Args:
        before: the model as it was.
        after: what became of it.
        accuracy_before: its accuracy, where that was measured.
        accuracy_after: likewise.
        threads: workers of the timed runs, which take turns.

    Returns:
        For each: bytes of weights, planned bytes of a run, median seconds of a run of one sample, accuracy with its
        interval.
    """
    graphs = {"before": read(before), "after": after}
    sessions = {name: InferenceSession(graph, threads=threads) for name, graph in graphs.items()}
    feeds = {}
    for value in graphs["before"].inputs:
        shape = [extent if isinstance(extent, int) else 1 for extent in value.type.shape or ()]
        feeds[value.name] = np.random.default_rng(0).standard_normal(shape).astype(to_numpy(value.type.dtype))
    seconds = race(sessions, feeds)
    accuracies = {"before": accuracy_before, "after": accuracy_after}
    found: dict[str, Row] = {}
    for name, graph in graphs.items():
        accuracy = accuracies[name]
        found[name] = {
            "weight_bytes": sum(array.nbytes for array in graph.constants.values()),
            "peak_memory_bytes": sessions[name].plan.peak_memory_bytes,
            "seconds": seconds[name],
            "accuracy": None if accuracy is None else accuracy.share,
            "interval": None if accuracy is None else list(accuracy.interval),
            "samples": None if accuracy is None else accuracy.asked,
        }
    return found
