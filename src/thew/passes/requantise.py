"""A quantisation as plain data, which a plan carries, and the way from a float model back to the graph it was made for.

Weights are rounded to nearest from the model's own: no integer is stored, and the graph is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from thew.errors import ModelError
from thew.ir import Graph
from thew.passes.quantisable import prepare, sites
from thew.passes.quantise import Encoding, Weights, quantise


@dataclass(frozen=True)
class Quantisation:
    """What is quantised of a model, and in which steps.

    Attributes:
        kept: keys of layers that stay float.
        steps: scale and zero point of each encoding of activations.
        values: the encoding of each value, an index into the steps.
        weights: the scales of each layer's weights: one, or one a channel.
    """

    kept: tuple[str, ...]
    steps: tuple[tuple[float, int], ...]
    values: Mapping[str, int]
    weights: Mapping[str, tuple[float, ...]]

    @staticmethod
    def of(kept: tuple[str, ...], encodings: Mapping[str, Encoding], weights: Mapping[str, Weights]) -> Quantisation:
        """From what `quantise` is given."""
        distinct = list(dict.fromkeys(encodings.values()))
        return Quantisation(
            tuple(kept),
            tuple((float(encoding.scale), int(encoding.zero)) for encoding in distinct),
            {name: distinct.index(encoding) for name, encoding in encodings.items()},
            {key: tuple(np.atleast_1d(own.encoding.scale).tolist()) for key, own in weights.items()},
        )

    def check(self) -> None:
        """Refuses what is no quantisation. Raises ModelError."""
        scales = [scale for scale, _ in self.steps] + [scale for own in self.weights.values() for scale in own]
        sound = all(isinstance(scale, float) and isfinite(scale) and scale > 0 for scale in scales)
        sound &= all(isinstance(zero, int) and 0 <= zero <= 255 for _, zero in self.steps)
        sound &= all(isinstance(at, int) and 0 <= at < len(self.steps) for at in self.values.values())
        if not (sound and all(map(len, self.weights.values())) and all(isinstance(key, str) for key in self.kept)):
            raise ModelError("quantisation: scales must be positive, zero points from 0 to 255, got others")


def requantise(graph: Graph, quantisation: Quantisation) -> Graph:
    """The graph with the (de)quantisations that were recorded.

    Raises:
        ModelError: they are not for this graph, or are none.
    """
    quantisation.check()
    prepared = prepare(graph)
    chosen = sites(prepared, quantisation.kept)
    weighted = {key: layer for key, layer in chosen.layers.items() if layer.weight}
    if set(chosen.values) != set(quantisation.values) or set(weighted) != set(quantisation.weights):
        raise ModelError(f"quantisation: must be for the values and layers of graph '{graph.name}', got one for others")
    made = [Encoding(np.asarray(scale, np.float32), np.asarray(zero, np.uint8)) for scale, zero in quantisation.steps]
    encodings = {name: made[index] for name, index in quantisation.values.items()}
    weights = {}
    for key, layer in weighted.items():
        array, scales = prepared.constants[layer.weight], np.asarray(quantisation.weights[key], np.float32)
        if len(scales) not in (1, array.shape[layer.axis]):
            raise ModelError(f"quantisation: '{key}' must have a scale a channel, got {len(scales)} for {array.shape}")
        scales = scales.reshape(()) if len(scales) == 1 else scales
        encoding = Encoding(scales, np.zeros(scales.shape, np.int8))
        weights[key] = Weights(encoding.integers(array, layer.axis), encoding)
    return quantise(prepared, chosen, encodings, weights)
