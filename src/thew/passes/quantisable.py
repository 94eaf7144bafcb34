"""Where a float graph can be quantised: which nodes compute on integers, and which values get a (de)quantisation.

*Layers* compute: conv, matmul and gemm with constant weights, and add. A layer's *result* is its output, or that of the
relu or clip which alone reads it: both become one integer op (`thew.passes.quantised`). *Moves* only choose or place
elements; they take integers wherever their operands are integers, and give them back in the same steps: such values are
*tied* to one encoding. A concat's operands may keep steps of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from thew.ir import Graph, Node
from thew.passes.check_nodes import check_nodes
from thew.passes.convolve_integers import LONGEST
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.eliminate_no_ops import eliminate_no_ops
from thew.passes.fold_batch_norm import fold_batch_norm
from thew.passes.fold_constants import fold_constants
from thew.passes.fold_pads import fold_pads
from thew.passes.lower_variadic import lower_variadic
from thew.passes.move_integers import moves_integers
from thew.passes.multiply_integers import is_plain_gemm
from thew.passes.pipeline import Pass, run
from thew.passes.specialise import guessed_types

_PREPARE: tuple[Pass, ...] = (
    check_nodes,
    eliminate_dead,
    fold_constants,
    eliminate_no_ops,
    lower_variadic,
    fold_pads,
    eliminate_dead,
)


@dataclass(frozen=True)
class Layer:
    """A node that can compute on integers.

    Attributes:
        key: its first output, by which it is known.
        node: the node.
        operands: the activations that it reads.
        result: the value that is quantised after it.
        weight: its constant weights; empty for add.
        axis: the axis of the weights along which output channels lie.
        bias: its constant bias; empty where it has none.
    """

    key: str
    node: Node
    operands: tuple[str, ...]
    result: str
    weight: str = ""
    axis: int = 0
    bias: str = ""


@dataclass(frozen=True)
class Sites:
    """What is quantised of a graph.

    Attributes:
        layers: that compute on integers, by key, in order.
        values: activations that get a quantisation, in order.
        ties: groups of values that must share one encoding, since a move gives one from the others.
        concats: the operands and the result of each concatenation.
    """

    layers: Mapping[str, Layer]
    values: tuple[str, ...]
    ties: tuple[tuple[str, ...], ...] = ()
    concats: tuple[tuple[str, ...], ...] = field(default=())


def prepare(graph: Graph) -> Graph:
    """The graph as it is to be quantised: constants, pads and batch norms folded, products with biases as gemm.

    Nodes are named by their first output, so that what runs tells which layer it is.
    """
    whole = run(graph, _PREPARE)
    folded = _as_gemm(fold_batch_norm(whole.replace(types=guessed_types(whole))))
    plain = run(folded.replace(types={}), (eliminate_no_ops, eliminate_dead))
    return plain.replace(nodes=tuple(node.replace(name=node.outputs[0]) for node in plain.nodes))


def layers(graph: Graph) -> dict[str, Layer]:
    """The layers of a prepared graph, by key, in order."""
    found = (_product(graph, node) or _sum(graph, node) for node in graph.nodes)
    return {layer.key: layer for layer in found if layer is not None}


def sites(graph: Graph, kept: Collection[str] = ()) -> Sites:
    """What is quantised of a prepared graph.

    Args:
        graph: from `prepare`.
        kept: keys of layers that stay float.
    """
    allowed = {key: layer for key, layer in layers(graph).items() if key not in kept}
    values: dict[str, None] = {}
    for layer in allowed.values():
        if layer.weight:
            values.update(dict.fromkeys((*layer.operands, layer.result)))
    ties: list[tuple[str, ...]] = []
    concats: list[tuple[str, ...]] = []
    chosen: dict[str, Layer] = {}
    for node in graph.nodes:
        own = allowed.get(node.outputs[0]) if node.outputs else None
        if own is not None and (own.weight or all(name in values for name in own.operands)):
            chosen[own.key] = own
            values[own.result] = None
        elif moves_integers(graph, node):
            operands = node.inputs if node.op == "concat" else node.inputs[:1]
            if all(name in values for name in operands):
                values[node.outputs[0]] = None
                (concats if node.op == "concat" else ties).append((*operands, node.outputs[0]))
    ordered = tuple(name for name in _defined(graph) if name in values)
    return Sites(chosen, ordered, tuple(ties), tuple(concats))


def _defined(graph: Graph) -> Iterator[str]:
    yield from (value.name for value in graph.inputs)
    yield from (name for node in graph.nodes for name in node.outputs if name)


def _result(graph: Graph, node: Node) -> str:
    """The output of a node, or that of the relu or clip by constants which alone reads it."""
    output = node.outputs[0]
    readers = graph.consumers.get(output, ())
    if graph.use_count(output) != 1 or len(readers) != 1 or readers[0].inputs[0] != output:
        return output
    after = readers[0]
    bounds = [graph.constants.get(name) for name in after.inputs[1:] if name]
    is_clip = after.op == "clip" and all(b is not None and b.size == 1 and not np.isnan(b).any() for b in bounds)
    return after.outputs[0] if after.op == "relu" or is_clip else output


def _product(graph: Graph, node: Node) -> Layer | None:
    """The layer that a product with constant weights is."""
    if node.op not in ("conv", "matmul", "gemm") or node.attributes.get("activation"):
        return None
    weight = graph.constants.get(node.input(1))
    rank = 4 if node.op == "conv" else 2
    if weight is None or weight.dtype != np.float32 or weight.ndim != rank or weight.size == 0:
        return None
    if node.input(0) in graph.constants or not np.isfinite(weight).all():
        return None
    if len(node.inputs) > (2 if node.op == "matmul" else 3) or (node.op == "gemm" and not is_plain_gemm(node)):
        return None
    axis = 0 if node.op == "conv" or node.attributes.get("transB") else 1
    channels = weight.shape[axis]
    bias = graph.constants.get(node.input(2)) if node.input(2) else None
    if node.input(2) and (bias is None or bias.shape != (channels,) or not np.isfinite(bias).all()):
        return None
    if weight.size // channels >= LONGEST:
        return None
    found = Layer(node.outputs[0], node, node.inputs[:1], _result(graph, node), node.inputs[1], axis, node.input(2))
    return found


def _sum(graph: Graph, node: Node) -> Layer | None:
    """The layer that a sum of two activations is."""
    if node.op != "add" or node.attributes.get("activation") or any(name in graph.constants for name in node.inputs):
        return None
    return Layer(node.outputs[0], node, node.inputs, _result(graph, node))


def _as_gemm(graph: Graph) -> Graph:
    """The graph with gemm, which takes a bias in ONNX, for products of matrices with one."""
    nodes = []
    for node in graph.nodes:
        is_biased = node.op == "matmul" and len(node.inputs) == 3 and not node.attributes.get("activation")
        known = graph.type_of(node.inputs[0]) if is_biased and node.inputs[2] in graph.constants else None
        is_flat = known is not None and known.shape is not None and len(known.shape) == 2
        nodes.append(node.replace(op="gemm") if is_flat else node)
    return graph.replace(nodes=tuple(nodes))
