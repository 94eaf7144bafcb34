"""A graph in TensorFlow Lite's format (a flatbuffer), written with the schema that LiteRT's package brings.

Images are stored channels last. Activations are fused into the layer before them; pads that are not "same" become
layers of their own, as TensorFlow's converter makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thew import ops
from thew.errors import UnsupportedError
from thew.ir import Graph, Node
from thew.ir.graph import Array

FUSING = ("conv", "gemm", "add")
LOWEST = np.float32(-3.4028235e38)


def write(graph: Graph, path: Path) -> None:
    """Writes the file. Raises UnsupportedError for an op that has no counterpart here."""
    save(Writer(graph), path)


def save(writer: Writer, path: Path) -> None:
    """Writes the file of what a writer makes."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(writer.model().Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


class Writer:
    """Tensors, buffers and operators of one subgraph, in the making."""

    def __init__(self, graph: Graph) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.graph = graph
        self.ops = OPS
        self._buffers: list[Any] = [schema.BufferT()]  # the first stands for none
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}
        self._places: dict[str, int] = {}  # value → tensor
        self._fused = _fused(graph)

    def model(self) -> Any:
        """The whole model."""
        for value in self.graph.inputs:
            self._places[value.name] = self.tensor(value.name, self.shape(value.name), **self.kind(value.name))
        for node in self.graph.nodes:
            if node.outputs[0] in self._fused.values():
                continue
            if node.op not in self.ops:
                raise UnsupportedError(f"LiteRT: {node}: has no counterpart in this table; leave the peer out")
            self.ops[node.op](self, node)
        subgraph = self.schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs = [self._places[value.name] for value in self.graph.inputs]
        subgraph.outputs = [self._places[name] for name in self.graph.outputs]
        model = self.schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [subgraph], self._buffers
        model.operatorCodes = [self._code(builtin) for builtin in self._codes]
        return model

    def _code(self, builtin: int) -> Any:
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        return code

    def shape(self, name: str) -> tuple[int, ...]:
        """A value's shape as it is stored: images with their channels last."""
        found = self.graph.type_of(name)
        assert found is not None
        shape = found.static_shape
        return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape

    def kind(self, name: str) -> dict[str, Any]:
        """What `tensor` must know of a value beside its shape, where it is not fp32."""
        return {}

    def least_is_zero(self, name: str) -> bool:
        """Whether a pad of zeros never exceeds the value's elements."""
        producer = self.graph.producers.get(name)
        return producer is not None and producer.op == "relu"

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        data: Array | None = None,
        dtype: str = "float32",
        scale: Array | None = None,
        zero: Array | None = None,
        axis: int = 0,
    ) -> int:
        """A new tensor: of a constant where there are data; of integers with their scales, where those are given."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = getattr(self.schema.TensorType, (dtype if data is None else data.dtype.name).upper())
        if scale is not None and zero is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = scale.astype(np.float32).reshape(-1)
            tensor.quantization.zeroPoint = np.broadcast_to(zero.astype(np.int64).reshape(-1), scale.size).copy()
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def constant(self, name: str, data: Any) -> int:
        """A tensor of data."""
        return self.tensor(name, data.shape, data)

    def place(self, name: str) -> int:
        """The tensor of a value."""
        return self._places[name]

    def operator(self, builtin: str, inputs: Sequence[int], output: int, options: str = "", **fields: Any) -> None:
        """One operator; `fields` are those of its options' table."""
        operator = self.schema.OperatorT()
        code = getattr(self.schema.BuiltinOperator, builtin)
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.inputs, operator.outputs = list(inputs), [output]
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
            for name, value in fields.items():
                setattr(operator.builtinOptions, name, value)
        self._operators.append(operator)

    def layer(self, node: Node, builtin: str, inputs: Sequence[int], options: str = "", **fields: Any) -> None:
        """The operator that a node becomes, with the activation that follows fused into it."""
        output = self._fused.get(node.outputs[0], node.outputs[0])
        self._places[output] = self.tensor(output, self.shape(output), **self.kind(output))
        if node.op in FUSING:
            follower = self.graph.producers[output] if output != node.outputs[0] else None
            kind = "NONE" if follower is None else str(_activation(self.graph, follower))
            fields["fusedActivationFunction"] = getattr(self.schema.ActivationFunctionType, kind)
        self.operator(builtin, inputs, self._places[output], options, **fields)

    def padded(self, node: Node, kernel: Sequence[int], value: float) -> tuple[int, int]:
        """The node's input, padded where the format has no such padding, and the padding that remains."""
        source = self.place(node.inputs[0])
        strides, dilations = _attribute(node, "strides") or (1, 1), _attribute(node, "dilations") or (1, 1)
        height, width = self.shape(node.inputs[0])[1:3]
        pads = self._pads(node, kernel, strides, dilations)
        if not any(pads):
            return source, self.schema.Padding.VALID
        if tuple(pads) == _same_pads((height, width), kernel, strides, dilations):
            return source, self.schema.Padding.SAME
        top, left, bottom, right = pads
        batch, _, _, channels = self.shape(node.inputs[0])
        amounts = self.constant("pads", np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32))
        wider = (batch, height + top + bottom, width + left + right, channels)
        output = self.tensor(f"{node.outputs[0]}_padded", wider, **self.kind(node.inputs[0]))
        if value == 0:
            self.operator("PAD", [source, amounts], output, "PadOptions")
        else:
            filler = self.constant("filler", np.array([value], np.float32))
            self.operator("PADV2", [source, amounts, filler], output, "PadV2Options")
        return output, self.schema.Padding.VALID

    def _pads(
        self, node: Node, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
    ) -> tuple[int, ...]:
        """Pads at the top, left, bottom and right, with what rounding up (ceil_mode) adds at the end."""
        pads = tuple(_attribute(node, "pads") or (0, 0, 0, 0))
        sizes, outputs = self.shape(node.inputs[0])[1:3], self.shape(node.outputs[0])[1:3]
        reached = [
            (output - 1) * stride + (extent - 1) * dilation + 1
            for output, stride, extent, dilation in zip(outputs, strides, kernel, dilations, strict=True)
        ]
        ends = [max(reached[axis] - sizes[axis] - pads[axis], pads[2 + axis]) for axis in range(2)]
        return (*pads[:2], *ends)


def _attribute(node: Node, name: str) -> Any:
    return ops.attribute(node, name)


def _same_pads(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    """What "same" pads: as much as needed for ceil(size / stride) outputs, the odd one at the end."""
    total = [
        max((-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size, 0)
        for size, extent, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    return (*(pad // 2 for pad in total), *(pad - pad // 2 for pad in total))


def _activation(graph: Graph, node: Node) -> str | None:
    """The fused form of an activation; None where there is none."""
    if node.op == "relu":
        return "RELU"
    if node.op == "clip":
        bounds = [float(graph.constants[name].reshape(-1)[0]) for name in node.inputs[1:] if name in graph.constants]
        return "RELU6" if bounds == [0.0, 6.0] else None
    return None


def _fused(graph: Graph) -> dict[str, str]:
    """Output of a layer → output of the activation that alone reads it."""
    found = {}
    for node in graph.nodes:
        readers = graph.consumers.get(node.outputs[0], ())
        is_alone = len(readers) == 1 and node.outputs[0] not in graph.outputs
        if node.op in FUSING and is_alone and _activation(graph, readers[0]) is not None:
            found[node.outputs[0]] = readers[0].outputs[0]
    return found


def _constants(writer: Writer, node: Node) -> tuple[Any, Any]:
    weight = writer.graph.constants.get(node.inputs[1])
    if weight is None:
        raise UnsupportedError(f"LiteRT: {node}: only constant weights are written; leave the peer out")
    bias = writer.graph.constants[node.inputs[2]] if node.input(2) else np.zeros(0, np.float32)
    return weight, bias


def convolution(
    writer: Writer, node: Node, weight: Array, filler: float
) -> tuple[Array, int, str, list[int], dict[str, Any]]:
    """What a convolution becomes: weights as the format has them, the axis of their filters, the operator, its source
    (a list of one) and the fields of its options.
    """
    channels, group = writer.shape(node.inputs[0])[-1], int(_attribute(node, "group"))
    strides, dilations = _attribute(node, "strides") or (1, 1), _attribute(node, "dilations") or (1, 1)
    source, padding = writer.padded(node, weight.shape[2:], filler)
    fields = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    fields |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    if group == 1:
        return weight.transpose(0, 2, 3, 1), 0, "CONV_2D", [source], fields
    if group == channels:
        fields["depthMultiplier"] = weight.shape[0] // channels
        return weight.transpose(1, 2, 3, 0), 3, "DEPTHWISE_CONV_2D", [source], fields
    raise UnsupportedError(f"LiteRT: {node}: grouped convolutions are not written; leave the peer out")


OPTIONS = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}


def _conv(writer: Writer, node: Node) -> None:
    weight, bias = _constants(writer, node)
    bias = bias if bias.size else np.zeros(weight.shape[0], np.float32)
    data, _, builtin, inputs, fields = convolution(writer, node, weight, 0.0)
    inputs += [writer.constant(f"{node.outputs[0]}_{name}", array) for name, array in (("w", data), ("b", bias))]
    writer.layer(node, builtin, inputs, OPTIONS[builtin], **fields)


def _gemm(writer: Writer, node: Node) -> None:
    weight, bias = _constants(writer, node)
    if _attribute(node, "transA") or _attribute(node, "alpha") != 1 or _attribute(node, "beta") != 1:
        raise UnsupportedError(f"LiteRT: {node}: only plain dense layers are written; leave the peer out")
    weight = weight if _attribute(node, "transB") else weight.T
    bias = np.broadcast_to(bias.reshape(-1) if bias.size else np.float32(0), (weight.shape[0],))
    constants = [writer.constant(f"{node.outputs[0]}_{name}", array) for name, array in (("w", weight), ("b", bias))]
    writer.layer(node, "FULLY_CONNECTED", [writer.place(node.inputs[0]), *constants], "FullyConnectedOptions")


def _pool(builtin: str) -> Callable[[Writer, Node], None]:
    def layer(writer: Writer, node: Node) -> None:
        kernel, strides = _attribute(node, "kernel_shape"), _attribute(node, "strides") or (1, 1)
        before = writer.place(node.inputs[0])
        filler = 0.0 if writer.least_is_zero(node.inputs[0]) else float(LOWEST)
        source, padding = writer.padded(node, kernel, filler)
        if builtin == "AVERAGE_POOL_2D" and (source != before or padding == writer.schema.Padding.SAME):
            raise UnsupportedError(f"LiteRT: {node}: averages past the border are not written; leave the peer out")
        fields = {"filterHeight": kernel[0], "filterWidth": kernel[1], "strideH": strides[0], "strideW": strides[1]}
        writer.layer(node, builtin, [source], "Pool2DOptions", padding=padding, **fields)

    return layer


def _mean(writer: Writer, node: Node) -> None:
    axes = writer.constant(f"{node.outputs[0]}_axes", np.array([1, 2], np.int32))
    writer.layer(node, "MEAN", [writer.place(node.inputs[0]), axes], "ReducerOptions", keepDims=True)


def _reshape(writer: Writer, node: Node) -> None:
    source, name, shape = writer.place(node.inputs[0]), node.outputs[0], writer.shape(node.inputs[0])
    if len(shape) == 4 and shape[1:3] != (1, 1):  # flattened in the order of the model: channels first
        order = writer.constant(f"{name}_order", np.array([0, 3, 1, 2], np.int32))
        planes = writer.tensor(f"{name}_planes", (shape[0], shape[3], *shape[1:3]), **writer.kind(node.inputs[0]))
        writer.operator("TRANSPOSE", [source, order], planes, "TransposeOptions")
        source = planes
    if len(writer.shape(name)) == 4:
        raise UnsupportedError(f"LiteRT: {node}: only reshapes to matrices are written; leave the peer out")
    target = np.array(writer.shape(name), np.int32)
    writer.layer(node, "RESHAPE", [source, writer.constant(f"{name}_shape", target)], "ReshapeOptions", newShape=target)


def _plain(builtin: str, options: str = "", **fields: Any) -> Callable[[Writer, Node], None]:
    def layer(writer: Writer, node: Node) -> None:
        inputs = [writer.place(name) for name in node.inputs if name not in writer.graph.constants]
        writer.layer(node, builtin, inputs, options, **fields)

    return layer


def _concat(writer: Writer, node: Node) -> None:
    axis, rank = _attribute(node, "axis"), len(writer.shape(node.outputs[0]))
    axis = {0: 0, 1: 3, 2: 1, 3: 2}[axis % 4] if rank == 4 else axis
    writer.layer(node, "CONCATENATION", [writer.place(name) for name in node.inputs], "ConcatenationOptions", axis=axis)


def _clip(writer: Writer, node: Node) -> None:
    if _activation(writer.graph, node) != "RELU6":
        raise UnsupportedError(f"LiteRT: {node}: only a clip from 0 to 6 is written; leave the peer out")
    writer.layer(node, "RELU6", [writer.place(node.inputs[0])])


OPS: dict[str, Callable[[Writer, Node], None]] = {
    "add": _plain("ADD", "AddOptions"),
    "average_pool": _pool("AVERAGE_POOL_2D"),
    "clip": _clip,
    "concat": _concat,
    "conv": _conv,
    "flatten": _reshape,
    "gemm": _gemm,
    "global_average_pool": _mean,
    "max_pool": _pool("MAX_POOL_2D"),
    "relu": _plain("RELU"),
    "reshape": _reshape,
    "sigmoid": _plain("LOGISTIC"),
    "softmax": _plain("SOFTMAX", "SoftmaxOptions", beta=1.0),
}
