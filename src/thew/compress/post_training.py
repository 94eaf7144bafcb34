"""`quantize`: a float model and samples in; a model that computes on 8-bit integers out."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from thew.compress.calibration import policy_of
from thew.compress.encode import encodings_of, weight_encoding
from thew.compress.observe import Progress, observe, silent
from thew.compress.samples import batch_of, inputs_of
from thew.errors import InputError
from thew.ir import Graph
from thew.passes.quantisable import layers, prepare, sites
from thew.passes.quantise import Weights, quantise

Model = str | os.PathLike[str] | bytes | Graph
DEFAULT_BATCH = 8


@dataclass(frozen=True)
class Quantized:
    """A quantised model.

    Attributes:
        graph: in QDQ form; an `InferenceSession` runs it on integers.
        layers: keys of the layers that compute on integers.
        kept: keys of the layers that stayed float.
    """

    graph: Graph
    layers: tuple[str, ...]
    kept: tuple[str, ...]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model as ONNX. The file appears whole or not at all."""
        from thew.onnx import export_onnx

        export_onnx(self.graph, path)


class Calibrator:
    """A float model with what its values were seen to be: gives quantised models without running it again.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        data: samples along the first axis, or (x, y); the labels are not used.
        batch: samples of a run, where the model leaves that open.
        threads: workers of a run.
        progress: called with what is done, how much of it, and of how much.

    Raises:
        InputError: the data do not fit the model, or it is quantised already.
    """

    def __init__(
        self, model: Model, data: Any, *, batch: int = DEFAULT_BATCH, threads: int = 1, progress: Progress = silent
    ) -> None:
        self.graph = prepare(read(model))
        if any(node.op == "quantize_linear" for node in self.graph.nodes):
            raise InputError("quantize: the model must be a float one, got one that is quantised; give the float model")
        self.feeds = inputs_of(self.graph, data)
        self.batch = batch_of(self.graph, batch, min(map(len, self.feeds.values())))
        self.threads = threads
        self.seen = observe(self.graph, sites(self.graph).values, self.feeds, self.batch, threads, progress)

    def quantize(
        self,
        kept: Collection[str] = (),
        *,
        calibration: str = "minmax",
        symmetric: bool = False,
        per_channel: bool = True,
    ) -> Quantized:
        """The model with all layers on integers but those kept; the arguments are those of `quantize`."""
        known = layers(self.graph)
        unknown = sorted(set(kept) - set(known))
        if unknown:
            raise InputError(f"kept: must be names of layers, which are {list(known)}, got {unknown}")
        chosen = sites(self.graph, kept)
        encodings = encodings_of(chosen, self.seen.histograms, policy_of(calibration), symmetric)
        weights: dict[str, Weights] = {}
        for key, layer in chosen.layers.items():
            if layer.weight:
                encoding = weight_encoding(self.graph, layer, encodings[layer.operands[0]], per_channel)
                weights[key] = Weights(encoding.integers(self.graph.constants[layer.weight], layer.axis), encoding)
        graph = quantise(self.graph, chosen, encodings, weights)
        return Quantized(graph, tuple(chosen.layers), tuple(key for key in known if key not in chosen.layers))


def quantize(
    model: Model,
    data: Any,
    *,
    calibration: str = "minmax",
    symmetric: bool = False,
    per_channel: bool = True,
    kept: Collection[str] = (),
    batch: int = DEFAULT_BATCH,
    threads: int = 1,
    progress: Progress = silent,
) -> Quantized:
    """Quantises a model after training: 8-bit integers for weights and activations.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        data: samples along the first axis, or (x, y), of which x counts.
        calibration: how ranges are chosen from what was seen: "minmax", "percentile", "entropy" or "mse".
        symmetric: whether activations with negative values are counted around the middle step.
        per_channel: whether each output channel of weights has steps of its own.
        kept: keys of layers (their first output) that stay float.
        batch: samples of a run, where the model leaves that open.
        threads: workers of a run.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The quantised model.

    Raises:
        InputError: an argument is not one of those above, or data do not fit the model.

    Example:
        >>> quantized = quantize("model.onnx", x[:100], calibration="percentile")
        >>> quantized.save("model_int8.onnx")
        >>> (y,) = thew.InferenceSession("model_int8.onnx").run(None, {"input": x[:1]})
    """
    policy_of(calibration)
    calibrator = Calibrator(model, data, batch=batch, threads=threads, progress=progress)
    return calibrator.quantize(kept, calibration=calibration, symmetric=symmetric, per_channel=per_channel)


def read(model: Model) -> Graph:
    """The graph that is meant by a path, bytes or a graph."""
    if isinstance(model, Graph):
        return model
    from thew.onnx import read as read_onnx

    return read_onnx(model)
