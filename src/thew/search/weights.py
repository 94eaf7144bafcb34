"""Whether dense layers hold their weights as 8-bit integers while all that is computed stays floats.

A dense layer of few samples waits for its weights, which are then a quarter of the bytes. It is decided after pruning
and before the precision of layers: on the whole network, by its accuracy and time.
"""

from __future__ import annotations

from collections.abc import Mapping

from thew.compress import quantize_weights
from thew.compress.observe import Progress, silent
from thew.ir import Graph, TensorType
from thew.passes.quantisable import layers, prepare
from thew.search.objective import Objective
from thew.search.pruned import Keeps, Level, choose_model, reloaded
from thew.search.result import Tried
from thew.search.space import Settings
from thew.search.space.weights import WEIGHTS

_LEAST_BYTES = 1 << 18  # of dense weights: fewer stay in the caches nearby, and nothing waits for them


def dense_bytes(model: Graph) -> int:
    """Bytes of the weights of dense layers, as floats."""
    graph = prepare(model)
    dense = (one for one in layers(graph).values() if one.weight and one.node.op != "conv")
    return sum(graph.constants[one.weight].nbytes for one in dense)


def choose_weights(
    source: Graph,
    types: Mapping[str, TensorType],
    settings: Settings,
    keeps: Keeps,
    wanted: Objective,
    progress: Progress = silent,
) -> tuple[Graph, tuple[Tried, ...]]:
    """The model that goes on, and what was tried; see `thew.search.pruned.choose_pruning`."""
    if dense_bytes(source) < _LEAST_BYTES:
        return source, ()
    progress("weights", 0, 1)
    usual, integers = WEIGHTS.values(settings)
    models: dict[Level, Graph] = {usual: source, integers: reloaded(quantize_weights(source).graph)}
    return choose_model(WEIGHTS.name, models, types, settings, keeps, wanted)
