"""`GraphModule`: a graph, as one that was imported, as a module that can be trained, taken apart and exported again.

Its parameters are the constants that `thew.nn.trainable` finds; everything else stays a constant.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from thew.dtypes import FLOATS, from_numpy
from thew.errors import InputError, ShapeError
from thew.ir import Dim, Graph, Node
from thew.ir.graph import as_constant
from thew.nn.module import Module
from thew.nn.tensor import Tensor
from thew.nn.trace import Trace
from thew.nn.trainable import origin, statistics_of, weights_of

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
            parameters = weights_of(graph)
        if buffers is None:
            buffers = statistics_of(graph)
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
            origins = [origin(self._graph, name) for name in node.inputs]
            if node.op in _LAYERS and not own.isdisjoint(origins):
                pairs = zip(node.inputs, origins, strict=True)
                return next(name for name, source in pairs if name and source not in self._graph.constants)
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
            if node.op == "reshape":
                arguments[1] = self._shape_for(inputs[0].shape[0], *map(values.__getitem__, node.inputs))
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

    def _shape_for(self, batch: Dim, read: Any, shape: Any) -> Any:
        """What a reshape asks for. Where that names the batch that the graph was written down for, any is meant."""
        declared = (self._graph.inputs[0].type.shape or ("n",))[0]
        if batch == declared or not isinstance(shape, np.ndarray) or shape.size == 0 or shape[0] != declared:
            return shape
        try:
            keeps = read.shape[:1] == (batch,)
        except ShapeError:  # its shape depends on data
            keeps = False
        return np.concatenate([[0], shape[1:]]) if keeps else shape  # 0: as many as there are
