"""Which layers lose most on integers: the network's output with one layer quantised against that of floats.

Layers that lose most go back to floats first where a network is not accurate enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from thew.compress.observe import Progress, silent, values_of
from thew.compress.post_training import DEFAULT_METHOD, Calibrator, Method, Quantized
from thew.ir import Graph
from thew.ir.graph import Array

_SAMPLES = 32  # enough to rank layers


def sensitivity(
    calibrator: Calibrator,
    method: Method = DEFAULT_METHOD,
    samples: int = _SAMPLES,
    progress: Progress = silent,
) -> dict[str, float]:
    """The error that each layer with weights adds, by key: the share of the outputs' energy that it turns to noise.

    Args:
        calibrator: the float network.
        method: how layers are quantised.
        samples: how many of the calibrator's are run.
        progress: called with what is done, how much of it, and of how much.
    """
    known = calibrator.layers
    exact = _outputs(calibrator, calibrator.graph, samples)
    found: dict[str, float] = {}
    weighted = [key for key, layer in known.items() if layer.weight]
    for number, key in enumerate(weighted):
        progress("sensitivity", number, len(weighted))
        alone = calibrator.quantize([other for other in known if other != key], method)
        found[key] = _noise(exact, _outputs(calibrator, alone.graph, samples))
    return found


def keep_accurate(
    calibrator: Calibrator,
    is_accurate: Callable[[Quantized], bool],
    method: Method = DEFAULT_METHOD,
    kept: Collection[str] = (),
    progress: Progress = silent,
) -> Quantized:
    """The quantised network, with as few of the most sensitive layers on floats as make it accurate enough.

    The number of them is found by bisection: a network with more of them is taken to be more accurate.

    Args:
        calibrator: the float network.
        is_accurate: judges a candidate.
        method: how layers are quantised.
        kept: keys of layers that stay float in any case.
        progress: called with what is done, how much of it, and of how much.
    """
    best = calibrator.quantize(kept, method)
    if is_accurate(best):
        return best
    errors = sensitivity(calibrator, method, progress=progress)
    worst = [key for key in sorted(errors, key=lambda key: -errors[key]) if key not in kept]
    few, enough = 0, len(worst)  # so few are too few; so many are all, and exact
    best = calibrator.quantize(tuple(calibrator.layers), method)
    while enough - few > 1:
        progress("bisecting", len(worst) - (enough - few), len(worst))
        middle = (few + enough) // 2
        candidate = calibrator.quantize((*kept, *worst[:middle]), method)
        if is_accurate(candidate):
            best, enough = candidate, middle
        else:
            few = middle
    return best


def _outputs(calibrator: Calibrator, graph: Graph, samples: int) -> list[Array]:
    count = max(samples // calibrator.batch, 1) * calibrator.batch
    feeds = {name: array[:count] for name, array in calibrator.feeds.items()}
    runs = [
        list(found.values()) for found in values_of(graph, graph.outputs, feeds, calibrator.batch, calibrator.threads)
    ]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def _noise(exact: list[Array], got: list[Array]) -> float:
    energy = sum(float(np.sum(np.square(array, dtype=np.float64))) for array in exact)
    noise = sum(float(np.sum(np.square(a - b, dtype=np.float64))) for a, b in zip(exact, got, strict=True))
    return noise / energy if energy else noise
