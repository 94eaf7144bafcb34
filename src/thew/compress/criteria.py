"""How important channels are: one number for each class of channels, the more the dearer.

Sums over all slices of constants that belong to a class, so that channels which go together are judged together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thew.autodiff import Extension, differentiate
from thew.compress.accuracy import Data
from thew.compress.samples import batch_of
from thew.errors import InputError
from thew.ir import Graph, Node, TensorType, Value
from thew.ir.graph import Array
from thew.passes.channels import Channels
from thew.passes.specialise import specialise
from thew.runtime.session import InferenceSession

Importance = dict[int, float]
Criterion = Callable[[Graph, Channels, Data | None, int], Importance]
_LABELS = "classes"


def magnitude(graph: Graph, channels: Channels, data: Data | None, threads: int) -> Importance:
    """Squares of a channel's weights, of who makes and who takes it, relative to the mean of each constant.

    By groups, as in Fang et al. 2023; scales of batch norms count, biases and shifts do not.
    """
    scales, known = _scales(graph), graph.constants
    counted = {use.constant for use in channels.uses if known[use.constant].ndim > 1 or use.constant in scales}
    return _sums(channels, {name: np.square(known[name], dtype=np.float64) for name in counted})


def bn_scale(graph: Graph, channels: Channels, data: Data | None, threads: int) -> Importance:
    """Scales of batch norms (Liu et al., "Network slimming", 2017).

    Raises:
        InputError: a channel that could go has no batch norm.
    """
    found = _sums(channels, {name: np.abs(graph.constants[name]) for name in _scales(graph)})
    without = [name for name, roots in channels.families.items() if not set(roots.tolist()) <= set(found)]
    if without:
        raise InputError(
            f"criterion: bn-scale must have a batch norm behind every layer, got none behind {without[0]!r}; "
            "use magnitude"
        )
    return found


def _scales(graph: Graph) -> set[str]:
    found = {node.inputs[1] for node in graph.nodes if node.op == "batch_normalization"}
    return found & set(graph.constants)


def taylor(graph: Graph, channels: Channels, data: Data | None, threads: int) -> Importance:
    """How much the loss changes where a channel's weights go to 0, to first order: (Σ w · ∂L/∂w)².

    Molchanov et al., "Importance estimation for neural network pruning", 2019.

    Raises:
        InputError: there are no samples with classes.
    """
    if data is None:
        raise InputError("criterion: taylor must have data=(x, y), got none; give data or use magnitude")
    statistics = {name for node in graph.nodes if node.op == "batch_normalization" for name in node.inputs[3:]}
    names = {use.constant for use in channels.uses} - statistics
    used = {name: graph.constants[name] for name in names}
    total: Importance = {}
    for gradients in _gradients(graph, tuple(used), data, threads):
        signed = _sums(channels, {name: used[name] * gradient for name, gradient in gradients.items()}, relative=False)
        for root, value in signed.items():
            total[root] = total.get(root, 0.0) + value**2
    return total


CRITERIA: Mapping[str, Criterion] = {"magnitude": magnitude, "bn-scale": bn_scale, "taylor": taylor}


def _sums(channels: Channels, scores: Mapping[str, Array], relative: bool = True) -> Importance:
    """Scores of elements, summed over each class's slices (means, relative to the constant's, where asked for)."""
    total: Importance = {}
    for use in channels.uses:
        if use.constant not in scores:
            continue
        score = np.moveaxis(scores[use.constant], use.axis, 0).reshape(len(use.atoms), -1)
        own = score.mean(axis=1) / max(float(score.mean()), 1e-30) if relative else score.sum(axis=1)
        for root, value in zip(use.atoms.tolist(), own.tolist(), strict=True):
            total[root] = total.get(root, 0.0) + value
    return total


def _gradients(graph: Graph, names: tuple[str, ...], data: Data, threads: int, wanted: int = 16) -> Any:
    """Gradients of the cross-entropy for constants, batch by batch."""
    batch = batch_of(graph, wanted, len(data.x))
    known = {value.name: TensorType(value.type.dtype, (batch, *data.x.shape[1:])) for value in graph.inputs}
    if len(known) != 1:
        raise InputError(f"criterion: taylor must have a model of one input, got {len(known)}; use magnitude")
    ends = without_softmax(specialise(graph, known))
    labels = Value(_LABELS, TensorType("int64", (batch,)))
    extension = Extension(ends.replace(inputs=(*ends.inputs, labels)))
    logits = extension.type_of(ends.outputs[0]).static_shape
    source = ends.outputs[0]
    if len(logits) != 2:
        source = extension.emit("reshape", (source, extension.constant(np.array([batch, -1]), "flat")))[0]
    loss = extension.emit("softmax_cross_entropy", (source, _LABELS), 2)[0]
    gradients = differentiate(extension, loss, names)
    session = InferenceSession(extension.graph(tuple(gradients.values())), threads=threads)
    (name,) = known
    for start in range(0, len(data.x) - batch + 1, batch):
        part = slice(start, start + batch)
        feeds = {name: data.x[part], _LABELS: data.y[part].astype(np.int64)}
        yield dict(zip(gradients, session.run(None, feeds), strict=True))


def without_softmax(graph: Graph) -> Graph:
    """The graph up to its logits."""
    last: Node | None = graph.producers.get(graph.outputs[0])
    is_softmax = last is not None and last.op == "softmax" and graph.use_count(last.outputs[0]) == 1
    if last is None or not is_softmax:
        return graph
    nodes = tuple(node for node in graph.nodes if node is not last)
    return graph.replace(nodes=nodes, outputs=(last.inputs[0], *graph.outputs[1:]))
