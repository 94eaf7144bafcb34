"""`Calibrator`: a float model and what its values were seen to be, from which quantised models are made."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from thew.compress.calibration import policy_of
from thew.compress.correct_bias import correct_bias, mean_errors
from thew.compress.encode import encodings_of, weight_encoding
from thew.compress.equalise import equalise as equalised
from thew.compress.observations import observe_once
from thew.compress.observe import Progress, Seen, silent
from thew.compress.round_adaptively import round_adaptively
from thew.compress.samples import batch_of, inputs_of
from thew.errors import InputError
from thew.ir import Graph
from thew.ir.graph import Array
from thew.passes.quantisable import Layer, Sites, layers, prepare, sites
from thew.passes.quantise import Encoding, Weights, quantise

Model = str | os.PathLike[str] | bytes | Graph
DEFAULT_BATCH = 8


ROUNDINGS = ("nearest", "adaptive")


@dataclass(frozen=True)
class Method:
    """How weights and activations become integers.

    Attributes:
        calibration: how ranges are chosen from what was seen: "minmax", "percentile", "entropy" or "mse".
        symmetric: whether activations with negative values are counted around the middle step.
        per_channel: whether each output channel of weights has steps of its own.
        correct_bias: whether biases make up for what rounding the weights adds to means.
        rounding: of weights, "nearest" or "adaptive".
    """

    calibration: str = "minmax"
    symmetric: bool = False
    per_channel: bool = True
    correct_bias: bool = False
    rounding: str = "nearest"

    def __post_init__(self) -> None:
        policy_of(self.calibration)
        if self.rounding not in ROUNDINGS:
            raise InputError(f"rounding: must be one of {', '.join(ROUNDINGS)}, got {self.rounding!r}")


@dataclass(frozen=True)
class Quantized:
    """A quantised model.

    Attributes:
        graph: in QDQ form; an `InferenceSession` runs it on integers.
        layers: keys of the layers that compute on integers.
        kept: keys of the layers that stayed float.
        encodings: of every value that is quantised, by its name in the float graph.
        weights: integer weights, by the layer's key.
    """

    graph: Graph
    layers: tuple[str, ...]
    kept: tuple[str, ...]
    encodings: Mapping[str, Encoding] = field(default_factory=dict, repr=False)
    weights: Mapping[str, Weights] = field(default_factory=dict, repr=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model as ONNX. The file appears whole or not at all."""
        from thew.onnx import export_onnx

        export_onnx(self.graph, path)


DEFAULT_METHOD = Method()


class Calibrator:
    """A float model with what its values were seen to be: gives quantised models without running it again.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        data: samples along the first axis, or (x, y); the labels are not used.
        equalise: whether channels are scaled first so that weights of successive layers spread alike.
        batch: samples of a run, where the model leaves that open.
        threads: workers of a run.
        progress: called with what is done, how much of it, and of how much.
        cache: file that what was seen is kept in; None keeps nothing beyond the process.

    Raises:
        InputError: the data do not fit the model, or it is quantised already.
    """

    def __init__(
        self,
        model: Model,
        data: Any,
        *,
        equalise: bool = False,
        batch: int = DEFAULT_BATCH,
        threads: int = 1,
        progress: Progress = silent,
        cache: Path | None = None,
    ) -> None:
        self.graph = prepare(read(model))
        if any(node.op == "quantize_linear" for node in self.graph.nodes):
            raise InputError("quantize: the model must be a float one, got one that is quantised; give the float model")
        self.feeds = inputs_of(self.graph, data)
        self.batch = batch_of(self.graph, batch, min(map(len, self.feeds.values())))
        self.threads, self.progress, self._cache = threads, progress, cache
        if equalise:
            self.graph = equalised(self.graph, lambda names: self._observed(names).channel_highs)
        self.seen = self._observed(sites(self.graph).values)
        self._weights: dict[tuple[str, str, bytes], Weights] = {}
        self._errors: dict[tuple[str, str, bytes], Array] = {}

    def _observed(self, names: tuple[str, ...]) -> Seen:
        how = (self.feeds, self.batch, self.threads, self._cache, self.progress)
        return observe_once(self.graph, names, *how)

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The layers that may be quantised, by key."""
        return layers(self.graph)

    def quantize(self, kept: Collection[str] = (), method: Method = DEFAULT_METHOD) -> Quantized:
        """The model with all layers on integers but those kept. Quick, but for what `method` asks for the first time.

        Raises:
            InputError: `kept` names what is no layer.
        """
        known = self.layers
        unknown = sorted(set(kept) - set(known))
        if unknown:
            raise InputError(f"kept: must be names of layers, which are {list(known)}, got {unknown}")
        chosen = sites(self.graph, kept)
        encodings = encodings_of(chosen, self.seen.histograms, policy_of(method.calibration), method.symmetric)
        weights, graph = self._rounded(chosen, encodings, method), self.graph
        if method.correct_bias:
            graph = correct_bias(graph, self._mean_errors(weights, method))
            chosen = sites(graph, kept)
        made = quantise(graph, chosen, encodings, weights)
        left = tuple(key for key in known if key not in chosen.layers)
        return Quantized(made, tuple(chosen.layers), left, encodings, weights)

    def _rounded(self, chosen: Sites, encodings: Mapping[str, Encoding], method: Method) -> dict[str, Weights]:
        """Integer weights of all chosen layers."""
        weights: dict[str, Weights] = {}
        wanted = [layer for layer in chosen.layers.values() if layer.weight]
        for number, layer in enumerate(wanted):
            encoding = weight_encoding(self.graph, layer, encodings[layer.operands[0]], method.per_channel)
            where = (layer.key, method.rounding, encoding.scale.tobytes())
            if where not in self._weights and method.rounding == "adaptive":
                self.progress("rounding", number, len(wanted))
                found = round_adaptively(self.graph, layer, encoding, self.feeds, self.batch, self.threads)
            else:
                exact = self.graph.constants[layer.weight]
                found = self._weights.get(where) or Weights(encoding.integers(exact, layer.axis), encoding)
            weights[layer.key] = self._weights[where] = found
        return weights

    def _mean_errors(self, weights: Mapping[str, Weights], method: Method) -> dict[str, Array]:
        where = {key: (key, method.rounding, own.encoding.scale.tobytes()) for key, own in weights.items()}
        unknown = {key: own for key, own in weights.items() if where[key] not in self._errors}
        found = mean_errors(self.graph, unknown, self.feeds, self.batch, self.threads)
        self._errors.update({where[key]: error for key, error in found.items()})
        return {key: self._errors[place] for key, place in where.items()}


def read(model: Model) -> Graph:
    """The graph that is meant by a path, bytes or a graph."""
    if isinstance(model, Graph):
        return model
    from thew.onnx import read as read_onnx

    return read_onnx(model)
