"""A network on BLAS: node by node as the model has them, a buffer for every value, nothing fused, nothing shared.

This is the "BLAS fp32" that searches are judged by. Its buffers are made once, so that no allocation is in its time;
its memory is what they take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from thew.dtypes import to_numpy
from thew.errors import UnsupportedError
from thew.ir import Graph, Node, TensorType
from thew.ir.graph import Array
from thew.ops import Call
from thew.passes import pipeline
from thew.passes.check_nodes import check_nodes
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.fold_constants import fold_constants
from thew.passes.specialise import specialise
from thew.search.blas.ops import Place, make, workspace_size
from thew.search.blas.sgemm import find_sgemm

_AS_IT_IS = (check_nodes, eliminate_dead, fold_constants, eliminate_dead)


class BlasNetwork:
    """A model made ready to run on BLAS.

    Args:
        model: as it was imported.
        types: static types of its inputs.
        threads: of BLAS.

    Attributes:
        library: which BLAS it is.
        memory_bytes: weights, a buffer for every value, the largest matrix of patches.
        weight_bytes: those of the weights.

    Raises:
        UnsupportedError: a shape depends on data.
    """

    def __init__(self, model: Graph, types: Mapping[str, TensorType], threads: int = 1) -> None:
        graph = eliminate_dead(specialise(pipeline.run(model, _AS_IT_IS), types))
        sgemm = find_sgemm(threads)
        self.library = sgemm.name
        values = {name: np.ascontiguousarray(array) for name, array in graph.constants.items()}
        self.weight_bytes = sum(array.nbytes for array in values.values())
        self._inputs = {value.name: _buffer(graph, value.name) for value in graph.inputs}
        values.update(self._inputs)
        calls = [self._call(graph, node) for node in graph.nodes]
        workspace = np.zeros(max(map(workspace_size, calls), default=0), np.float32)
        self._runs = []
        for call in calls:
            outputs = [_buffer(graph, name) for name in call.node.outputs if name]
            inputs = [values[name] if name else None for name in call.node.inputs]
            values.update(zip(filter(None, call.node.outputs), outputs, strict=True))
            self._runs.append(make(Place(call, inputs, outputs, workspace, sgemm)))
        self._outputs = [values[name] for name in graph.outputs]
        self.memory_bytes = workspace.nbytes + sum(array.nbytes for array in values.values())

    @staticmethod
    def _call(graph: Graph, node: Node) -> Call:
        types = tuple(graph.type_of(name) if name else None for name in node.inputs)
        return Call(node, types, tuple(graph.constants.get(name) for name in node.inputs))

    def run(self, feeds: Mapping[str, Array]) -> Sequence[Array]:
        """The outputs, in order; they are overwritten by the next run."""
        for name, buffer in self._inputs.items():
            np.copyto(buffer, feeds[name])
        for run in self._runs:
            run()
        return self._outputs


def _buffer(graph: Graph, name: str) -> Array:
    found = graph.type_of(name)
    if found is None or not found.is_static:
        raise UnsupportedError(f"BLAS baseline: every shape must be known before the run, got {found} for '{name}'")
    return np.zeros(found.static_shape, to_numpy(found.dtype))
