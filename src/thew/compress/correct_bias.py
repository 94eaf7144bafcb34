"""Bias correction: what rounding the weights adds to each channel's mean is taken off its bias.

E[(w + ε) * x] - E[w * x] = E[ε * x], measured on samples with the layer's own op, so that borders count as they are
(Nagel et al. 2019, empirical form). Inputs are those of the float network: every layer corrects its own error alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thew.compress.observe import values_of
from thew.compress.samples import Feeds
from thew.ir import Graph, Node
from thew.ir.graph import Array, as_constant
from thew.passes.quantisable import Layer, layers
from thew.passes.quantise import Weights


def mean_errors(
    graph: Graph, weights: Mapping[str, Weights], feeds: Feeds, batch: int, threads: int
) -> dict[str, Array]:
    """What rounding adds to the mean of each output channel, by the layer's key.

    Args:
        graph: from `quantisable.prepare`.
        weights: of the layers that are asked for, by key.
        feeds: samples by input.
        batch: samples of a run.
        threads: workers of a run.
    """
    if not weights:
        return {}
    known = layers(graph)
    probes = _with_probes(graph, {key: known[key] for key in weights}, weights)
    totals: dict[str, Array] = dict.fromkeys(weights, np.zeros(()))
    runs = 0
    for found in values_of(probes, tuple(map(_probe, weights)), feeds, batch, threads):
        runs += 1
        totals = {key: total + found[_probe(key)].astype(np.float64) for key, total in totals.items()}
    return {key: np.asarray(total / runs) for key, total in totals.items()}


def correct_bias(graph: Graph, errors: Mapping[str, Array]) -> Graph:
    """The graph with errors of means taken off biases; layers without a bias get one."""
    known, constants, nodes = layers(graph), {**graph.constants}, []
    for node in graph.nodes:
        key = node.outputs[0]
        nodes.append(_corrected(node, known[key], errors[key], constants) if key in errors else node)
    return graph.replace(nodes=tuple(nodes), constants=constants)


def _probe(key: str) -> str:
    return f"{key}/mean_error"


def _with_probes(graph: Graph, chosen: Mapping[str, Layer], weights: Mapping[str, Weights]) -> Graph:
    """The graph with the mean of each channel's error beside every layer."""
    constants, nodes = {**graph.constants}, list(graph.nodes)
    for key, layer in chosen.items():
        own, name = weights[key], f"{key}/weight_error"
        exact = graph.constants[layer.weight]
        constants[name] = as_constant(own.encoding.floats(own.integers, layer.axis) - exact)
        axes = (0, 2, 3) if layer.node.op == "conv" else (0,)
        constants[f"{key}/axes"] = as_constant(np.asarray(axes, np.int64))
        nodes.append(layer.node.replace(inputs=(layer.operands[0], name), outputs=(f"{key}/error",)))
        nodes.append(Node("reduce_mean", (f"{key}/error", f"{key}/axes"), (_probe(key),), {"keepdims": 0}))
    return graph.replace(nodes=tuple(nodes), constants=constants)


def _corrected(node: Node, layer: Layer, error: Array, constants: dict[str, Array]) -> Node:
    old = constants[layer.bias].astype(np.float64) if layer.bias else 0.0
    if error.ndim > 1:  # of a product of batches, which has no bias in ONNX
        return node
    name = f"{layer.key}/corrected_bias"
    constants[name] = as_constant((old - error).astype(np.float32))
    op = "gemm" if node.op == "matmul" else node.op
    return node.replace(op=op, inputs=(*node.inputs[:2], name))
