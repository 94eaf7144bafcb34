"""One training step as one graph: forward, loss, backward, check of the gradients, update.

`build_step` traces a model with its loss for the types of a batch, turns parameters, statistics and optimiser states
into states (graph inputs with next values), differentiates, and adds the update of every parameter right behind the
last node that reads it, so that it may be written in place and its gradient's memory is free again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thew import ops
from thew.autodiff import Extension, differentiate
from thew.dtypes import to_numpy
from thew.errors import ShapeError
from thew.ir import Graph, Node, TensorType, Value
from thew.ir.graph import Array
from thew.nn import Module, Tensor
from thew.nn.trace import Trace
from thew.optim import Optimizer
from thew.passes.join_phases import join_phases
from thew.passes.lower_training import OFFSET, SEED, lower_training
from thew.passes.lower_volumes import lower_volumes
from thew.passes.specialise import specialise
from thew.plan.lower import VIEWS
from thew.runtime.executable import Settings
from thew.train.exchange import Exchange, summed
from thew.train.narrowing import narrowed
from thew.train.precision import Precision

INPUT, TARGET, HYPER, LIMIT = "input", "target", "optimizer.hyper", "optimizer.clip_norm"
STEP, SCALE, SCALING = "optimizer.step", "loss_scale", "loss_scale.hyper"
NUMBERS = (HYPER, LIMIT, SCALING, SEED, OFFSET)  # inputs beside the batch, where a graph has them
MOST = {half: float(np.finfo(to_numpy(half)).max) for half in ("fp16",)}  # that gradients may be before unscaling
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class StepGraph:
    """A graph of a step or an evaluation.

    Attributes:
        graph: inputs are the batch, numbers of the step, and states.
        loss: the output that is the loss; empty where there is none.
        prediction: the output that is the model's.
        squares: the output with each gradient's sum of squares, where they are checked; empty elsewhere.
        successors: the output that is a state's next value, empty where a state is only read.
        own: the model's arrays, by the states that they are.
        fresh: first values of the other states.
        trained: names of the parameters that are updated.
    """

    graph: Graph
    loss: str
    prediction: str
    squares: str
    successors: Mapping[str, str]
    own: Mapping[str, Array]
    fresh: Mapping[str, Array]
    trained: tuple[str, ...]


def trace(
    model: Module, loss: Loss | None, x: TensorType, target: TensorType | None, dtype: str, training: bool
) -> tuple[Graph, dict[str, Array]]:
    """The graph of (loss, prediction), or without a target of the prediction alone, with all types static, and the
    model's floating-point arrays that it reads, which are graph inputs in it.
    """
    arrays = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    paths = {id(module): path for path, module in reversed(list(model.named_modules()))}
    traced = Trace(type(model).__name__, arrays, paths, dtype)
    flags = [(module, module.training) for module in model.modules()]
    for module, flag in flags:
        module.training = training and flag and not module.is_frozen
    try:
        prediction = model(traced.input(INPUT, x.shape or (), x.dtype))
        if not isinstance(prediction, Tensor):
            got = type(prediction).__name__
            raise ShapeError(f"{type(model).__name__}: must give one tensor to be trained, got {got}")
        outputs = [prediction]
        if loss is not None and target is not None:
            outputs.insert(0, loss(prediction, traced.input(TARGET, target.shape or (), target.dtype)))
    finally:
        for module, flag in flags:
            module.training = flag
    graph = traced.finish(outputs)
    found = {traced.constant_of(array): array for array in arrays.values() if array.dtype.kind == "f"}
    read = {name: found[name] for name in graph.constants if name in found}  # in the order of use
    return with_parameters(graph, read, dtype), read


def with_parameters(graph: Graph, arrays: Mapping[str, Array], dtype: str) -> Graph:
    """The specialised graph with these constants as inputs, and in their lowered forms the ops that act otherwise in
    training, or whose gradients are for pictures.
    """
    inputs = (*graph.inputs, *(Value(name, TensorType(dtype, array.shape)) for name, array in arrays.items()))
    constants = {name: array for name, array in graph.constants.items() if name not in arrays}
    lowered = lower_training(graph.replace(inputs=inputs, constants=constants))
    types = {value.name: value.type for value in lowered.inputs}
    return specialise(lower_volumes(join_phases(specialise(lowered, types))), types)


def build_evaluation(
    model: Module, loss: Loss, x: TensorType, target: TensorType | None, precision: Precision, settings: Settings
) -> StepGraph:
    """The graph that gives the loss, with a target, and the prediction as the model stands, changing nothing."""
    graph, read = trace(model, loss, x, target, precision.wide, training=False)
    *losses, prediction = graph.outputs
    name = losses[0] if losses else ""
    graph = narrowed(graph, precision, (), settings)
    return StepGraph(graph, name, prediction, "", dict.fromkeys(read, ""), read, {}, ())


def build_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    x: TensorType,
    target: TensorType,
    precision: Precision,
    settings: Settings,
    parts: int = 1,
    exchange: Exchange | None = None,
) -> StepGraph:
    """The graph of a training step on batches of these types.

    With several `parts` (of which the batch is a multiple) forward and backward run for one part after another, and
    gradients add up: the same step in less memory, but that batch norm sees one part at a time. The loss is the mean of
    the parts', or their sum where its `reduction` is "sum".

    With an `exchange` this is one process's share of a step: loss and gradients are those of all processes' batches.
    """
    samples, targets = _part_of(x, parts), _part_of(target, parts)
    forward, read = trace(model, loss, samples, targets, precision.wide, training=True)
    trainable = {id(array) for _, array in model.named_trainable()}
    trained = [name for name, array in read.items() if id(array) in trainable]
    forward = narrowed(forward, precision, trained, settings)
    if exchange is not None:
        forward = exchange.prepare(forward)
    ranks = 1 if exchange is None else exchange.ranks
    share = 1.0 if getattr(loss, "reduction", "mean") == "sum" else 1 / (parts * ranks)
    builder = _Builder(forward, optimizer, precision, {INPUT: x, TARGET: target}, exchange)
    return builder.build(trained, read, parts, share)


def step_of(
    forward: Graph, trained: Sequence[str], read: Mapping[str, Array], optimizer: Optimizer, precision: Precision
) -> StepGraph:
    """The step that trains any graph of (loss, prediction).

    Args:
        forward: all types static, parameters inputs (`with_parameters`). Inputs whose next values its nodes give
            (`OpDef.updates`) become states.
        trained: names of the parameters to update.
        read: the arrays of all its parameters.
        optimizer: what updates them.
        precision: in which the forward graph is already.
    """
    return _Builder(forward, optimizer, precision, {}).build(trained, read, 1, 1.0)


def _part_of(known: TensorType, parts: int) -> TensorType:
    count, *rest = known.static_shape
    return TensorType(known.dtype, (count // parts, *rest))


@dataclass(frozen=True)
class _Part:
    """What one part of a batch gives."""

    loss: str
    prediction: str
    gradients: Mapping[str, str]


class _Builder:
    """Grows a forward graph into a step."""

    def __init__(
        self,
        forward: Graph,
        optimizer: Optimizer,
        precision: Precision,
        whole: Mapping[str, TensorType],
        exchange: Exchange | None = None,
    ) -> None:
        self._optimizer, self._precision, self._exchange = optimizer, precision, exchange
        self._forward = forward
        self._inputs = [Value(value.name, whole.get(value.name, value.type)) for value in forward.inputs]
        self._successors: dict[str, str] = {}
        self._fresh: dict[str, Array] = {}
        self._statistics = self._found_statistics()
        self._latest: dict[str, str] = {}  # statistics by now
        self._sums: dict[str, str] = {}  # of gradients
        self._numbers = {HYPER: optimizer.hyper()}
        if optimizer.clip_norm is not None or precision.is_scaled:
            self._numbers[LIMIT] = np.array([np.inf if optimizer.clip_norm is None else optimizer.clip_norm])
        if precision.is_scaled:
            self._state(SCALE, precision.scaling.first())
            self._numbers[SCALING] = precision.scaling.hyper()
        if "step" in optimizer.numbers():
            self._state(STEP, np.zeros(1))
        for name, array in self._numbers.items():
            self._inputs.append(Value(name, TensorType("fp64", array.shape)))

    def build(self, trained: Sequence[str], read: Mapping[str, Array], parts: int, share: float) -> StepGraph:
        """The whole step; `share` is each part's in the loss."""
        for name in trained:
            self._add_states(name)
        self._extension = Extension(self._forward.replace(inputs=tuple(self._inputs), nodes=(), outputs=(), types={}))
        seed = self._seed(share)
        found = [self._part(part, parts, trained, seed) for part in range(parts)]
        loss = self._scaled(self._added([part.loss for part in found]), share)
        prediction = found[0].prediction if parts == 1 else self._one("concat", *(p.prediction for p in found), axis=0)
        gradients = found[-1].gradients
        if self._exchange is not None:
            loss, gradients = self._summed(loss, gradients, self._exchange)
        factor, squares = self._check(list(gradients.values()))
        step = self._count(factor)
        count = len(self._extension.nodes)
        for name, gradient in gradients.items():
            self._update(name, gradient, factor, step)
        nodes = self._extension.nodes
        nodes[:] = _early(nodes[:count], [[update] for update in nodes[count:]])
        successors = {**dict.fromkeys(read, ""), **self._successors}
        outputs = [loss, prediction, *filter(None, (squares, *successors.values()))]
        graph = self._extension.graph(outputs)
        names = (loss, prediction, squares)
        return StepGraph(graph, *names, successors, read, self._fresh, tuple(gradients))

    def _part(self, part: int, parts: int, trained: Sequence[str], seed: str | None) -> _Part:
        """Forward and backward of one part of the batch; its gradients are the sums up to here."""
        names = dict(self._latest)
        if parts > 1:
            for name in (INPUT, TARGET):
                count = self._extension.type_of(name).static_shape[0] // parts
                ends = (np.array([count * part]), np.array([count * (part + 1)]), np.array([0]))
                names[name] = self._one("slice", name, *map(self._extension.constant, ends))
        for node in self._forward.nodes:
            outputs = tuple(self._extension.fresh(name) if name else "" for name in node.outputs)
            names.update(zip(node.outputs, outputs, strict=True))
            copy = node.replace(inputs=tuple(names.get(name, name) for name in node.inputs), outputs=outputs)
            if part and node.op == "dropout_training":
                copy = copy.with_attributes(stream=node.attributes["stream"] + part * len(self._forward.nodes))  # type: ignore[operator]
            self._extension.append(copy)
        for state, after in self._statistics.items():
            self._latest[state] = self._successors[state] = names[after]
        loss, prediction = (names[name] for name in self._forward.outputs)
        gradients = differentiate(self._extension, loss, trained, seed)
        for name, gradient in gradients.items():
            self._sums[name] = self._added([self._sums[name], gradient]) if name in self._sums else gradient
        return _Part(loss, prediction, dict(self._sums))

    def _summed(self, loss: str, gradients: Mapping[str, str], exchange: Exchange) -> tuple[str, dict[str, str]]:
        """Loss and gradients over all processes; sums begin as early as they can, and are waited for at the end."""
        extension, sums = self._extension, [summed(self._extension, [loss], 1)]
        for slot, bucket in enumerate(exchange.buckets(extension, list(gradients.values())), 2):
            sums.append(summed(extension, bucket, slot, exchange.compression))
        nodes = extension.nodes
        if exchange.overlaps:
            nodes[:] = _early(nodes, [found.begin for found in sums])
            nodes.extend(node for found in sums for node in found.end)
        else:
            nodes[:] = _early(nodes, [(*found.begin, *found.end) for found in sums])
        totals = {term: total for found in sums for term, total in found.totals.items()}
        return totals[loss], {name: totals[gradient] for name, gradient in gradients.items()}

    def _added(self, terms: Sequence[str]) -> str:
        total = terms[0]
        for term in terms[1:]:
            total = self._one("add", total, term)
        return total

    def _scaled(self, name: str, factor: float) -> str:
        if factor == 1:
            return name
        dtype = to_numpy(self._extension.type_of(name).dtype)
        return self._one("mul", name, self._extension.constant(np.asarray(factor, dtype)))

    def _state(self, name: str, first: Array) -> None:
        self._fresh[name] = first
        self._successors[name] = ""
        dtype = "fp64" if first.dtype == np.float64 else "fp32"
        self._inputs.append(Value(name, TensorType(dtype, first.shape)))

    def _found_statistics(self) -> dict[str, str]:
        """Running statistics are states of the model whose next values the forward pass gives."""
        names = {value.name for value in self._inputs}
        return {
            node.inputs[source]: node.outputs[output]
            for node in self._forward.nodes
            for output, source in ops.get(node.op).updates
            if node.input(source) in names and node.outputs[output]
        }

    def _add_states(self, name: str) -> None:
        shape = next(value.type for value in self._inputs if value.name == name).static_shape
        for state in self._optimizer.kept():
            self._state(f"{name}.{state.rstrip('*')}", np.zeros(shape, to_numpy(self._precision.master)))
        if "product" in self._optimizer.numbers():
            self._state(f"{name}.product", np.ones(1))

    def _seed(self, share: float) -> str | None:
        """The gradient of a part's loss: its share, times the scale where there is one."""
        extension, dtype = self._extension, self._precision.wide
        if not self._precision.is_scaled:
            return None if share == 1 else extension.constant(np.asarray(share, to_numpy(dtype)))
        scalar = self._one("reshape", self._scale(), extension.constant(np.zeros(0, np.int64)))
        return self._scaled(self._one("cast", scalar, to=dtype), share)

    def _scale(self) -> str:
        ends = (np.array([0]), np.array([1]), np.array([0]))
        return self._one("slice", SCALE, *map(self._extension.constant, ends))

    def _one(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self._extension.emit(op, inputs, 1, **attributes)[0]

    def _check(self, gradients: Sequence[str]) -> tuple[str, str]:
        """The factor of the update and the sums of squares; empty where nothing is to be checked."""
        if LIMIT not in self._numbers or not gradients:
            return "", ""
        scale = self._scale() if self._precision.is_scaled else self._extension.constant(np.ones(1))
        most = {"most": MOST[self._precision.half]} if self._precision.is_scaled else {}
        factor, squares = self._extension.emit("unscale_check", [scale, LIMIT, *gradients], 2, **most)
        if self._precision.is_scaled:
            self._successors[SCALE] = self._one("update_loss_scale", SCALE, factor, SCALING)
        return factor, squares

    def _count(self, factor: str) -> str:
        if STEP not in self._successors:
            return ""
        self._successors[STEP] = self._one("count_update", STEP, *filter(None, (factor,)))
        return self._successors[STEP]

    def _update(self, name: str, gradient: str, factor: str, step: str) -> None:
        optimizer, kept = self._optimizer, self._optimizer.kept()
        states = [f"{name}.{state.rstrip('*')}" if state in kept else "" for state in ops.update.STATES[optimizer.op]]
        numbers = {"step": step, "product": f"{name}.product"}
        singles = [numbers[number] for number in optimizer.numbers()]
        inputs = [name, gradient, HYPER, factor, *states, *singles]
        changing = [name, *states, *(s for n, s in zip(optimizer.numbers(), singles, strict=True) if n == "product")]
        while not inputs[-1]:
            inputs.pop()
        while not changing[-1]:
            changing.pop()
        outputs = tuple(self._extension.fresh(f"{state}.next") if state else "" for state in changing)
        self._extension.append(Node(optimizer.op, tuple(inputs), outputs, optimizer.attributes(), f"{name}.update"))
        self._successors.update((state, after) for state, after in zip(changing, outputs, strict=True) if state)


def _early(nodes: Sequence[Node], groups: Iterable[Sequence[Node]]) -> list[Node]:
    """All nodes in order, each group behind the last node that makes what it takes or reads what it overwrites."""
    positions: dict[int, list[Node]] = {}
    readers: dict[str, int] = {}
    aliases: dict[str, Collection[str]] = {}
    for index, node in enumerate(nodes):
        for name in node.inputs:
            for origin in aliases.get(name, (name,)):
                readers[origin] = index
            if name and (node.op in VIEWS or (node.op == "cast" and not ops.opdef.attribute(node, "rounds"))):
                origins = {origin for source in node.inputs for origin in aliases.get(source, (source,))}
                aliases.update(dict.fromkeys(node.outputs, origins))
        readers.update(dict.fromkeys(node.outputs, index))
    for group in groups:
        taken = {origin for node in group for name in node.inputs for origin in (name, *aliases.get(name, ()))}
        behind = max(readers.get(name, -1) for name in taken if name)
        positions.setdefault(behind, []).extend(group)
    ordered = list(positions.get(-1, ()))
    for index, node in enumerate(nodes):
        ordered += [node, *positions.get(index, ())]
    return ordered
