"""Mixed precision where it pays: each node of a forward pass in the type of its policy that takes least time.

What a node takes is what the planner estimates for it with the nodes of its gradients and the casts of its parameters,
planned by themselves; what a value takes that is read in another type than it is made in, is a cast, and another one
for its gradient. So 16 bits are stored where they are multiplied faster, or save more traffic than casts cost, and not
where only wider kernels have the better algorithm. What moves or maps elements between products follows them, so that
casts stand where the values are few: its own time is traffic that its neighbours have, too.

A policy of fp64 has three types: products that are not worth storing in 16 bits are computed in fp32, in which sums of
products of 16 bits are, too.
"""

from __future__ import annotations

from collections.abc import Collection
from math import inf

import numpy as np

from thew.autodiff import Extension, pull_back
from thew.ir import Graph, Node, TensorType, Value
from thew.passes.narrow_training import DATA_FIRST, PRODUCTS, may_narrow, narrow_training, narrower_source
from thew.plan import key_of
from thew.plan.alternatives import alternatives_of
from thew.plan.cost import Cost
from thew.plan.precisions import cheapest_dtypes
from thew.runtime.executable import Settings
from thew.train.precision import Precision

_NO_SLOWER = 1.02  # of the arithmetic in a wider type, casts counted
_WORTH = 0.97  # of the time in a wider type: less is within the estimates' error


def narrowed(graph: Graph, precision: Precision, trained: Collection[str], settings: Settings) -> Graph:
    """The forward pass with its nodes in the policy's types.

    Args:
        graph: its types are static, its floats wide.
        precision: the policy.
        trained: names of the parameters that gradients are wanted of.
        settings: the device.
    """
    if not precision.half:
        return graph
    estimates = _Estimates(graph, precision, trained, settings)
    ways = {key_of(node): estimates.ways(node) for node in graph.nodes if may_narrow(graph, node, precision.wide)}
    return narrow_training(graph, precision.wide, cheapest_dtypes(graph, precision.wide, ways, estimates.cast))


class _Estimates:
    """Seconds of nodes and casts."""

    def __init__(self, graph: Graph, precision: Precision, trained: Collection[str], settings: Settings) -> None:
        self._graph, self._precision, self._settings = graph, precision, settings
        self._reached = _reached(graph, trained)
        self._known: dict[str, Cost] = {}  # by all that a node's time depends on

    def ways(self, node: Node) -> dict[str, float]:
        """Seconds of a node in each type that it may be computed in, wider ones first.

        A narrower type is not taken for its bytes where its arithmetic takes longer: what bytes cost is known least.
        """
        dtypes = self._precision.dtypes
        if node.op not in PRODUCTS | DATA_FIRST:
            return dict.fromkeys(dtypes, 0.0)
        first, *narrower = dtypes[-2:] if node.op in PRODUCTS else dtypes
        found = self._estimate_of(node, first)
        seconds, most = {first: found.seconds}, _NO_SLOWER * found.compute_seconds
        for dtype in narrower:
            found = self._estimate_of(node, dtype)
            if found.compute_seconds <= most:
                seconds[dtype] = found.seconds / _WORTH
        return seconds

    def cast(self, name: str, made: str, read: str) -> float:
        """Of a value, and back of its gradient; what was widened is not cast where it is read as it was. Casts of what
        no node makes are among its readers' own time.
        """
        if not self._is_made(name):
            return 0.0
        source = narrower_source(self._graph, name)
        if source != name and made == self._precision.wide:
            name, made = source, self._dtype(source)
        if made == read:
            return 0.0
        wider, shape = max(made, read, key=self._precision.dtypes[::-1].index), self._type(name).static_shape
        target = self._settings.target
        return (1 + (name in self._reached)) * target.costs.copy_seconds(shape, wider, target.threads, transposed=False)

    def _type(self, name: str) -> TensorType:
        known = self._graph.type_of(name)
        assert known is not None
        return known

    def _dtype(self, name: str) -> str:
        return self._type(name).dtype

    def _estimate_of(self, node: Node, dtype: str) -> Cost:
        inputs = [
            (str(self._type(name)), name in self._graph.constants, self._is_made(name), name in self._reached)
            if name
            else None
            for name in node.inputs
        ]
        key = repr((node.op, sorted(node.attributes.items()), inputs, dtype))
        if key not in self._known:
            self._known[key] = self._estimate(node, dtype)
        return self._known[key]

    def _is_made(self, name: str) -> bool:
        return name in self._graph.producers

    def _estimate(self, node: Node, dtype: str) -> Cost:
        graph = self._with_gradients(self._alone(node, dtype), node)
        graph = self._settings.prepare(graph, {value.name: value.type for value in graph.inputs})
        target, options = self._settings.target, self._settings.options
        least = []
        for one in graph.nodes:
            costs = [way.cost for way in alternatives_of(graph, target, one, options, {})]
            least.append(min(costs, key=lambda cost: cost.seconds, default=Cost(inf)))
        return Cost(
            sum(cost.compute_seconds for cost in least),
            sum(cost.memory_seconds for cost in least),
            sum(cost.fixed_seconds for cost in least),
        )

    def _alone(self, node: Node, dtype: str) -> Graph:
        """A node as a graph: what other nodes make is there in the type, parameters are wide and cast."""
        wide, inputs, constants = self._precision.wide, [], {}
        for index, name in enumerate(node.inputs):
            if name in self._graph.constants:
                constants[name] = self._graph.constants[name]
            elif name and name not in node.inputs[:index]:
                known, is_data = self._type(name), index == 0 or node.op not in DATA_FIRST
                is_narrow = is_data and self._is_made(name) and known.dtype == wide
                inputs.append(Value(name, TensorType(dtype, known.shape) if is_narrow else known))
        types = {name: self._type(name) for name in node.outputs if name}
        alone = Graph(self._graph.name, tuple(inputs), (), (node,), constants, types)
        return narrow_training(alone, wide, {key_of(node): dtype})

    def _with_gradients(self, alone: Graph, node: Node) -> Graph:
        """The same with the gradients that are wanted; those of parameters are read in the type that they have, as a
        check and an update do.
        """
        wanted = [value.name for value in alone.inputs if value.name in self._reached]
        if not wanted:
            return alone.replace(outputs=tuple(filter(None, node.outputs)))
        output, known = node.outputs[0], alone.type_of(node.outputs[0])
        assert known is not None
        seed = Value(f"{output}.seed", known)
        extension = Extension(alone.replace(inputs=(*alone.inputs, seed)))
        gradients = pull_back(extension, {output: seed.name}, wanted)
        outputs = [gradient for name, gradient in gradients.items() if self._is_made(name)]
        if len(outputs) < len(gradients):
            one = extension.constant(np.ones(1))
            parameters = (gradient for name, gradient in gradients.items() if not self._is_made(name))
            outputs += extension.emit("unscale_check", [one, one, *parameters], 2)
        return extension.graph([*filter(None, node.outputs), *outputs])


def _reached(graph: Graph, trained: Collection[str]) -> set[str]:
    """The values that depend on a trained parameter."""
    reached = set(trained)
    for node in graph.nodes:
        if any(name in reached for name in node.inputs):
            reached.update(filter(None, node.outputs))
    return reached
