"""`quantize_weights`: int8 weights for dense layers, whose activations and sums stay floats.

A dense layer of few samples waits for its weights: as integers they are a quarter of the bytes, and nothing but their
rounding is lost. No samples are needed. The result is ONNX: each matrix behind a dequantisation.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from thew.compress.encode import weight_steps
from thew.compress.post_training import Model, Quantized, read
from thew.errors import InputError
from thew.ir import Graph
from thew.passes.editor import Editor
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.quantisable import Layer, layers, prepare
from thew.passes.quantise import Encoding, Weights, dequantised

_LEAST_STEP = 2.0**-120  # of a column of zeros


def quantize_weights(model: Model, *, per_channel: bool = True, kept: Collection[str] = ()) -> Quantized:
    """Makes integers of the weights of dense layers, symmetric around 0, rounded to nearest.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        per_channel: whether each output of a layer has steps of its own.
        kept: keys of layers (their first output) that stay as they are.

    Returns:
        The model with dequantisations before its dense layers; `kept` lists the layers without.

    Raises:
        InputError: `kept` names what is no layer.

    Example:
        >>> quantize_weights("vgg16.onnx").save("vgg16_weights_int8.onnx")
    """
    graph = prepare(read(model))
    known = {key: layer for key, layer in layers(graph).items() if layer.weight}
    unknown = sorted(set(kept) - set(known))
    if unknown:
        raise InputError(f"kept: must be names of layers, which are {list(known)}, got {unknown}")
    editor, weights = Editor(graph), {}
    for key, layer in known.items():
        if layer.node.op != "conv" and key not in kept:
            weights[key] = _encoded(graph, layer, per_channel)
            _store(editor, layer, weights[key])
    left = tuple(key for key in known if key not in weights)
    return Quantized(eliminate_dead(editor.graph()), tuple(weights), left, {}, weights)


def _encoded(graph: Graph, layer: Layer, per_channel: bool) -> Weights:
    most = weight_steps(graph, layer)
    step = np.maximum(most if per_channel else most.max(), _LEAST_STEP).astype(np.float32)
    encoding = Encoding(np.asarray(step), np.zeros(step.shape, np.int8))
    return Weights(encoding.integers(graph.constants[layer.weight], layer.axis), encoding)


def _store(editor: Editor, layer: Layer, weights: Weights) -> None:
    stored = dequantised(editor, layer.weight, weights.integers, weights.encoding, layer.axis)
    inputs = (layer.node.inputs[0], *stored.outputs, *layer.node.inputs[2:])
    editor.put(layer.node, stored, layer.node.replace(inputs=inputs))
