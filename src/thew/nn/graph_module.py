"""`GraphModule`: a graph, as one that was imported, as a module that can be trained, taken apart and exported again.

Its parameters are the constants that stand where ops have weights and those that scale or shift what these gave;
everything else stays a constant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, from_numpy
from thew.errors import InputError
from thew.ir import Dim, Graph, Node
from thew.ir.graph import Array, as_constant
from thew.nn.module import Module
from thew.nn.tensor import Tensor
from thew.nn.trace import Trace

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
_LAYERS = ("matmul", "conv", "conv_transpose", "gemm")


class GraphModule(Module):
    """A graph as a module: `thew.from_onnx` gives one.

    Args:
        graph: in the form for use or for training; the module gives both.
        parameters: constants that are trained; by default those that stand where ops have weights, and those of more
                than one element that scale or shift what such an op gave.
        buffers: constants that are running statistics; by default those of batch norms.

    Example:
        >>> from thew import nn
        >>> sorted(GraphModule(nn.Linear(4, 2).graph(("n", 4))).state_dict())
        ['bias', 'weight']
    """

    def __init__(
        self, graph: Graph, parameters: Collection[str] | None = None, buffers: Collection[str] | None = None
    ) -> None:
        super().__init__()
        if parameters is None:
            parameters = _named(graph, _WEIGHTS) | _terms(graph)
        if buffers is None:
            buffers = _named(graph, _STATISTICS)
        for name, array in graph.constants.items():
            if name in buffers:
                self.register_buffer(name, np.array(array))
            elif name in parameters and from_numpy(array.dtype) in FLOATS:
                self.register_parameter(name, np.array(array))
        self._graph = graph

    @property
    def original(self) -> Graph:
        """The graph with the arrays that the module has now."""
        own = {
            name: as_constant(array.astype(self._graph.constants[name].dtype))
            for name, array in self.state_dict().items()
        }
        return self._graph.replace(constants={**self._graph.constants, **own})

    def body(self, output: str = "") -> GraphModule:
        """The part of the network up to a value, with the arrays of now: what a new head is put behind.

        Args:
            output: a value's name; by default what the last node with weights reads, so that the part is all but the
                last layer.

        Raises:
            InputError: no node gives a value of that name, or (by default) none has weights.

        Example:
            >>> from thew import nn
            >>> imported = GraphModule(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).graph(("n", 4)))
            >>> model = nn.Sequential(imported.body().freeze(), nn.Linear(8, 3))
            >>> model.graph(("n", 4)).type_of("output").shape
            ('n', 3)
        """
        graph = self.original
        output = output or self._last_features()
        if output not in graph.producers:
            raise InputError(f"body: output must be a value that a node gives, got {output!r}")
        read, nodes = {output}, []
        for node in reversed(graph.nodes):
            if not read.isdisjoint(node.outputs):
                nodes.append(node)
                read.update(node.inputs)
        constants = {name: array for name, array in graph.constants.items() if name in read}
        inputs = tuple(value for value in graph.inputs if value.name in read)
        part = graph.replace(inputs=inputs, outputs=(output,), nodes=tuple(reversed(nodes)), constants=constants)
        parameters, buffers = (
            {name for name, _ in found if name in read} for found in (self.named_parameters(), self.named_buffers())
        )
        return GraphModule(part, parameters, buffers)

    def _last_features(self) -> str:
        own = {name for name, _ in self.named_parameters()}
        for node in reversed(self._graph.nodes):
            if node.op in _LAYERS and not own.isdisjoint(node.inputs):
                return next(name for name in node.inputs if name and name not in self._graph.constants)
        raise InputError("body: output must be given where no layer has weights, got none")

    def graph(
        self,
        *input_shapes: tuple[Dim, ...],
        dtype: str = "fp32",
        training: bool = False,
        name: str = "",
        input_dtype: str = "",
    ) -> Graph:
        """The graph for inputs of these shapes; without any, the graph that was imported, with the arrays of now."""
        if not input_shapes and not training:
            return self.original
        shapes = input_shapes or tuple(value.type.shape or () for value in self._graph.inputs)
        known = {"dtype": dtype, "training": training, "input_dtype": input_dtype}
        return super().graph(*shapes, name=name or self._graph.name, **known)  # type: ignore[arg-type]

    def forward(self, *inputs: Tensor) -> Any:
        """Adds the graph's nodes to the trace."""
        trace = inputs[0].trace
        own = self.state_dict()
        values: dict[str, Any] = {**self._graph.constants, **own}
        values.update(zip((value.name for value in self._graph.inputs), inputs, strict=True))
        for node in self._graph.nodes:
            arguments = [values[name] if name else None for name in node.inputs]
            results = self._traced(trace, node, arguments)
            values.update((name, result) for name, result in zip(node.outputs, results, strict=False) if name)
        outputs = tuple(values[name] for name in self._graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _traced(self, trace: Trace, node: Node, arguments: Sequence[Any]) -> Sequence[Tensor]:
        count = max(i + 1 for i, name in enumerate(node.outputs) if name)
        attributes = dict(node.attributes)
        if node.op == "batch_normalization":
            trains = self.training and not set(node.inputs[1:3]) <= self.frozen
            count, attributes["training_mode"] = (3, 1) if trains else (1, 0)
        elif node.op == "dropout" and count == 1:
            if not self.training:
                return arguments[:1]
            ratio = arguments[1] if len(arguments) > 1 else None
            arguments = [arguments[0], np.asarray(0.5, np.float32) if ratio is None else ratio, np.asarray(True)]
        elif node.op == "moving_average" and not self.training:
            return arguments[1:]
        return trace.node(node.op, arguments, count, **attributes)


def _named(graph: Graph, positions: Mapping[str, tuple[int, ...]]) -> set[str]:
    """The constants that some node reads at one of these positions."""
    found = {node.input(index) for node in graph.nodes for index in positions.get(node.op, ())}
    return {name for name in found if name in graph.constants}


def _terms(graph: Graph) -> set[str]:
    """Constants that scale or shift what weights gave: biases, a decomposed norm's gains, learnt scales and positions.

    What scales an input that no layer has read, as an import's mean and deviation, is not learnt.
    """
    found: set[str] = set()
    learnt: set[str] = set()
    for node in graph.nodes:
        if node.op in ("add", "mul"):
            for constant, other in (node.inputs, node.inputs[::-1]):
                array: Array | None = graph.constants.get(constant)
                if array is not None and array.size > 1 and other in learnt:
                    found.add(constant)
        weights = (node.input(index) for index in _WEIGHTS.get(node.op, ()))
        if not learnt.isdisjoint(node.inputs) or any(name in graph.constants for name in weights):
            learnt.update(name for name in node.outputs if name)
    return found
