"""Which constants of a graph are trained, where nothing says so: those that stand where ops have weights, and those
that scale, shift or precede what weights gave.

A constant may get there through ops that only arrange its elements: exporters write a dense layer of a transformer as
a product with a transposed weight, a class token as an expanded one.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from thew.ir import Graph

# Positions of weights among an op's inputs.
_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "conv": (1, 2),
    "conv_transpose": (1, 2),
    "gemm": (0, 1, 2),
    "matmul": (0, 1),
    "batch_normalization": (1, 2),
    "instance_normalization": (1, 2),
    "layer_normalization": (1, 2),
    "group_normalization": (1, 2),
    "rms_normalization": (1,),
    "prelu": (1,),
    "gather": (0,),
}
_STATISTICS: Mapping[str, tuple[int, ...]] = {"batch_normalization": (3, 4), "moving_average": (1,)}
_ARRANGES = frozenset({"transpose", "reshape", "squeeze", "unsqueeze", "flatten", "identity", "cast", "expand", "tile"})
_MEASURES = frozenset({"shape", "size"})  # what they give is no feature
_ANY = range(64)
# Ops whose constants beside learnt values are learnt too, and the ranks of such: tokens are batches of sequences.
_BESIDE: Mapping[str, Container[int]] = {"add": _ANY, "mul": _ANY, "concat": (3,)}


def origin(graph: Graph, name: str) -> str:
    """The value that this one is an arrangement of, itself where no node only arranges elements."""
    while (node := graph.producers.get(name)) is not None and node.op in _ARRANGES:
        name = node.input(0)
    return name


def weights_of(graph: Graph) -> set[str]:
    """Constants that are trained by default."""
    return set(_constants_at(graph, _WEIGHTS)) | set(_terms(graph))


def statistics_of(graph: Graph) -> set[str]:
    """Constants that are running statistics."""
    return set(_constants_at(graph, _STATISTICS))


def _constants_at(graph: Graph, positions: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """The constants that some node reads at one of these positions."""
    for node in graph.nodes:
        for index in positions.get(node.op, ()):
            if (name := origin(graph, node.input(index))) in graph.constants:
                yield name


def _terms(graph: Graph) -> Iterator[str]:
    """Constants that scale or shift what weights gave: biases, a decomposed norm's gains, learnt scales and positions;
    and vectors put before a sequence of them, as a class token is.

    What scales an input that no layer has read, as an import's mean and deviation, is not learnt.
    """
    learnt: set[str] = set()
    for node in graph.nodes:
        if node.op in _BESIDE and not learnt.isdisjoint(node.inputs):
            names = (origin(graph, name) for name in node.inputs if name not in learnt)
            arrays = {name: graph.constants[name] for name in names if name in graph.constants}
            yield from (name for name, array in arrays.items() if array.size > 1 and array.ndim in _BESIDE[node.op])
        weights = (origin(graph, node.input(index)) for index in _WEIGHTS.get(node.op, ()))
        reads = not learnt.isdisjoint(node.inputs) or any(name in graph.constants for name in weights)
        if reads and node.op not in _MEASURES:
            learnt.update(name for name in node.outputs if name)
