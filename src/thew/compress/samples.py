"""The samples that a model is calibrated and judged on, fed in batches that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from thew.dtypes import to_numpy
from thew.errors import InputError
from thew.ir import Graph
from thew.ir.graph import Array

Feeds = dict[str, Array]


def inputs_of(graph: Graph, data: Any) -> Feeds:
    """Samples by input name, along the first axis, in the inputs' dtypes.

    Args:
        graph: the model.
        data: an array for a model of one input, or (x, y), of which x counts; a mapping of arrays by name for several.

    Raises:
        InputError: data do not fit the inputs.
    """
    names = {value.name for value in graph.inputs}
    if not names:
        raise InputError("data: the model must have an input to be fed, got one without")
    given = data if isinstance(data, Mapping) else {graph.inputs[0].name: data[0] if isinstance(data, tuple) else data}
    if set(given) != names:
        raise InputError(f"data: must have samples for the inputs {sorted(names)}, got {sorted(given)}")
    found: Feeds = {}
    for value in graph.inputs:
        array = np.asarray(given[value.name])
        declared = value.type.shape
        if array.ndim == 0 or len(array) == 0 or (declared is not None and array.ndim != len(declared)):
            raise InputError(f"data: samples of '{value.name}' must have shape {value.type}, got {array.shape}")
        found[value.name] = np.ascontiguousarray(array, to_numpy(value.type.dtype))
    if len({len(array) for array in found.values()}) != 1:
        raise InputError(f"data: inputs must have as many samples each, got {[len(array) for array in found.values()]}")
    return found


def batch_of(graph: Graph, wanted: int, samples: int) -> int:
    """How many samples a run takes: what the model declares, else as wanted, where there are so many.

    Raises:
        InputError: the model takes more samples at a time than there are.
    """
    declared = [value.type.shape[0] for value in graph.inputs if value.type.shape]
    fixed = next((extent for extent in declared if isinstance(extent, int)), None)
    if fixed is not None and fixed > samples:
        raise InputError(f"data: must hold at least the {fixed} samples that the model takes at a time, got {samples}")
    return min(wanted, samples) if fixed is None else fixed


def batches(feeds: Feeds, batch: int) -> Iterator[Feeds]:
    """Whole batches, in order; what is left over at the end is not fed."""
    count = min(map(len, feeds.values()))
    for start in range(0, count - batch + 1, batch):
        yield {name: array[start : start + batch] for name, array in feeds.items()}
