"""Quantisation-aware training: a network that rounds as integers will, and learns to live with it (Jacob et al. 2018).

Every site of a quantisation (`thew.passes.quantisable`) rounds to the steps of 8 bits and back: weights by the largest
of each output channel, as they are at each step; activations by the moving averages of their least and largest value.
Rounding is the identity to gradients, within the range (`straight_through`). What was trained becomes a QDQ graph of
the same steps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from thew.compress.encode import activation_encoding, weight_encoding
from thew.compress.post_training import DEFAULT_BATCH, Calibrator, Model, Quantized
from thew.ir import Graph, Node
from thew.ir.graph import Array
from thew.nn import GraphModule, Module
from thew.passes.editor import Editor
from thew.passes.quantisable import Layer, Sites, sites
from thew.passes.quantise import Encoding, Weights, quantise

MOMENTUM = 0.01  # share of a batch in the ranges of activations
_LEAST_STEP = 2.0**-60


def prepare(
    model: Model | Module,
    data: Any,
    *,
    kept: Collection[str] = (),
    momentum: float = MOMENTUM,
    batch: int = DEFAULT_BATCH,
    threads: int = 1,
) -> FakeQuantized:
    """A network that trains as if it were quantised.

    Args:
        model: path of an ONNX file, its bytes, a graph, or a module; batch norms are folded.
        data: samples along the first axis, or (x, y), by which ranges begin.
        kept: keys of layers that stay float, as `thew.quantize` has them.
        momentum: share of each batch in the ranges of activations.
        batch: samples of a run, where the model leaves that open.
        threads: workers of a run.

    Raises:
        InputError: the data do not fit the model, it is quantised already, or `kept` names what is no layer.

    Example:
        >>> model = thew.compress.prepare("resnet.onnx", x)
        >>> thew.Trainer(model, optimizer=optim.SGD(lr=1e-3), input_shape=x.shape[1:]).fit((x, y))
        >>> model.quantized().save("resnet_int8.onnx")
    """
    if isinstance(model, Module):
        x = np.asarray(data[0] if isinstance(data, tuple) else data)
        model = model.graph(("n", *x.shape[1:]))
    calibrator = Calibrator(model, data, batch=batch, threads=threads)
    begun = calibrator.quantize(kept)
    return FakeQuantized(calibrator.graph, sites(calibrator.graph, kept), begun.kept, begun.encodings, momentum)


class FakeQuantized(GraphModule):
    """A graph that rounds at the sites of its quantisation, as a module; `prepare` gives one.

    Args:
        graph: from `thew.passes.quantisable.prepare`.
        sites: what of it is quantised.
        kept: keys of the layers that stay float.
        encodings: of the sites' values, with which ranges begin.
        momentum: share of each batch in the ranges.
    """

    def __init__(
        self, graph: Graph, sites: Sites, kept: Sequence[str], encodings: Mapping[str, Encoding], momentum: float
    ) -> None:
        plain = GraphModule(graph)
        writer = _Writer(graph, sites, encodings, momentum)
        rounding = writer.graph()
        super().__init__(
            rounding,
            [name for name, _ in plain.named_parameters()],
            [*(name for name, _ in plain.named_buffers()), *writer.ranges],
        )
        self._base, self._sites, self._kept = graph, sites, tuple(kept)
        self._leaders = writer.leaders

    def quantized(self) -> Quantized:
        """The network as it stands, in QDQ form: what it gives, but for the rounding of biases, is what this gives."""
        own = {name: array.astype(np.float32) for name, array in self.state_dict().items()}
        constants = {name: own.get(name, array) for name, array in self._base.constants.items()}
        graph = self._base.replace(constants=constants)
        found = {
            leader: activation_encoding(float(own[_low(leader)]), float(own[_high(leader)]), symmetric=False)
            for leader in dict.fromkeys(self._leaders.values())
        }
        encodings = {name: found[leader] for name, leader in self._leaders.items()}
        weights = {}
        for layer in self._sites.layers.values():
            if layer.weight:
                encoding = weight_encoding(graph, layer, encodings[layer.operands[0]], per_channel=True)
                integers = encoding.integers(graph.constants[layer.weight], layer.axis)
                weights[layer.key] = Weights(integers, encoding)
        made = quantise(graph, self._sites, encodings, weights)
        return Quantized(made, tuple(self._sites.layers), self._kept, encodings, weights)


def _low(leader: str) -> str:
    return f"{leader}.low"


def _high(leader: str) -> str:
    return f"{leader}.high"


class _Writer:
    """Puts roundings into a graph.

    Attributes:
        leaders: for every value of the sites the first of those with its encoding, whose range is that of all.
        ranges: names of the constants that are the ranges.
    """

    def __init__(self, graph: Graph, sites: Sites, encodings: Mapping[str, Encoding], momentum: float) -> None:
        self._source, self._sites, self._momentum = graph, sites, momentum
        self._editor = Editor(graph)  # for fresh names and constants only
        self._nodes: list[Node] = []
        first: dict[int, str] = {}
        self.leaders = {name: first.setdefault(id(encodings[name]), name) for name in sites.values}
        self.ranges: list[str] = []
        self._steps: dict[str, tuple[str, str, str, str]] = {}  # scale, zero, low and high of a leader
        for leader in first.values():
            encoding = encodings[leader]
            for name, limit in ((_low(leader), 0), (_high(leader), 255)):
                reach = (limit - float(encoding.zero)) * float(encoding.scale)
                self.ranges.append(self._editor.add_constant(np.asarray(reach, np.float32), name))

    def graph(self) -> Graph:
        """The graph that rounds."""
        renamed: dict[str, str] = {}
        values = frozenset(self._sites.values)
        for value in self._source.inputs:
            if value.name in values:
                renamed[value.name] = self._editor.fresh(f"{value.name}_rounded")
                self._round(value.name, value.name, renamed[value.name])
        for node in self._source.nodes:
            inputs = [renamed.get(name, name) for name in node.inputs]
            layer = self._sites.layers.get(node.outputs[0])
            if layer is not None and layer.weight:
                inputs[1] = self._weight(layer)
            changed = [name for name in node.outputs if name in values and not self._is_rounded(node, name)]
            outputs = [self._editor.fresh(f"{name}_float") if name in changed else name for name in node.outputs]
            self._nodes.append(node.replace(inputs=tuple(inputs), outputs=tuple(outputs)))
            for source, name in zip(outputs, node.outputs, strict=True):
                if source != name:
                    self._round(name, source, name)
        return self._source.replace(nodes=tuple(self._nodes), constants=self._editor.constants, types={})

    def _is_rounded(self, node: Node, name: str) -> bool:
        """Whether a node only places what is on the steps of its result already."""
        if node.outputs[0] in self._sites.layers:
            return False
        sources = [source for source in node.inputs if source in self.leaders]
        return bool(sources) and all(self.leaders[source] == self.leaders[name] for source in sources)

    def _emit(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = self._editor.fresh(f"{self._stem}_{op}")
        self._nodes.append(Node(op, inputs, (output,), attributes, output))
        return output

    def _number(self, value: Array | float) -> str:
        return self._editor.add_constant(np.asarray(value, np.float32), f"{self._stem}_number")

    def _round(self, value: str, source: str, output: str) -> None:
        self._stem = value
        scale, zero, low, high = self._steps_of(value, source)
        whole = self._emit("quantize_linear", source, scale, zero)
        rounded = self._emit("dequantize_linear", whole, scale, zero)
        self._nodes.append(Node("straight_through", (rounded, source, low, high), (output,), {}, output))

    def _steps_of(self, value: str, source: str) -> tuple[str, str, str, str]:
        leader = self.leaders[value]
        if leader not in self._steps:
            seen = (self._emit(op, source, keepdims=0) for op in ("reduce_min", "reduce_max"))
            low, high = (
                self._emit("moving_average", found, kept, momentum=self._momentum)
                for found, kept in zip(seen, (_low(leader), _high(leader)), strict=True)
            )
            low, high = self._emit("min", low, self._number(0)), self._emit("max", high, self._number(0))
            span = self._emit("sub", high, low)
            scale = self._emit("max", self._emit("mul", span, self._number(1 / 255)), self._number(_LEAST_STEP))
            shift = self._emit("round", self._emit("div", self._emit("neg", low), scale))
            inside = self._emit("max", self._emit("min", shift, self._number(255)), self._number(0))
            self._steps[leader] = (scale, self._emit("cast", inside, to="uint8"), low, high)
        return self._steps[leader]

    def _weight(self, layer: Layer) -> str:
        self._stem = layer.weight
        weight = self._source.constants[layer.weight]
        axes = np.array([axis for axis in range(weight.ndim) if axis != layer.axis % weight.ndim])
        axes_name = self._editor.add_constant(axes, f"{layer.weight}_axes")
        most = self._emit("reduce_max", self._emit("abs", layer.weight), axes_name, keepdims=0)
        scale = self._emit("max", self._emit("mul", most, self._number(1 / 127)), self._number(_LEAST_STEP))
        zero = self._editor.add_constant(np.zeros(weight.shape[layer.axis], np.int8), f"{layer.weight}_zero")
        whole = self._emit("quantize_linear", layer.weight, scale, zero, axis=layer.axis)
        rounded = self._emit("dequantize_linear", whole, scale, zero, axis=layer.axis)
        return self._emit("straight_through", rounded, layer.weight)
