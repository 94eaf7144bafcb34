"""The graphs of an agent: a gradient step of Q-learning, from drawing transitions to writing weights, and greedy
actions. All that outlives a run is a state (decision 018): weights, target weights, optimiser, and the replay memory.

    draw slots from the sum tree → gather the stacks of frames before and after → values of the actions taken
    → |Q − (r + γⁿ max Q⁻)| → loss → gradients → clip → Adam; new priorities go back into the tree
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thew.ir import Graph
from thew.ir.graph import Array
from thew.nn import Tensor
from thew.nn.trace import Trace
from thew.optim import Optimizer
from thew.passes.split_phases import split_phases
from thew.rl.hyperparameters import Hyperparameters
from thew.rl.network import QNetwork
from thew.rl.observation import Observation
from thew.rl.replay import ACTION, AGE, AHEAD, DISCOUNT, FRAMES, REWARD, TREE, Replay
from thew.rl.targets import BOOTSTRAPS, LOSSES, of_actions
from thew.runtime.executable import Settings
from thew.train.narrowing import narrowed
from thew.train.precision import Precision
from thew.train.step import StepGraph, step_of, with_parameters

DRAWS, BETA = "replay.draws", "replay.beta"
SLOTS, SHARES, BEFORE, AFTER = "replay.slots", "replay.shares", "replay.before", "replay.after"  # where drawn apart
_LEAST_ERROR = 1e-6  # what a priority adds to a TD error, so that no transition is lost


@dataclass(frozen=True)
class Networks:
    """An agent's two networks, of one structure."""

    online: QNetwork
    target: QNetwork

    def trace(self, name: str, dtype: str) -> Trace:
        """A trace that knows the arrays and layers of both by name."""
        arrays: dict[str, Array] = {}
        paths: dict[int, str] = {}
        for prefix, network in (("", self.online), ("target.", self.target)):
            arrays.update((f"{prefix}{known}", array) for known, array in network.named_parameters())
            paths.update((id(module), f"{prefix}{path}") for path, module in network.named_modules())
        return Trace(name, arrays, paths, dtype)

    def finish(self, trace: Trace, outputs: list[Tensor]) -> tuple[Graph, dict[str, Array]]:
        """The graph, parameters its inputs, and the arrays that they are."""
        graph = trace.finish(outputs)
        own = [array for network in (self.online, self.target) for array in network.parameters()]
        found = {trace.constant_of(array): array for array in own}
        read = {name: found[name] for name in graph.constants if name in found}
        return with_parameters(graph, read, trace.dtype), read


def gradient_step(
    networks: Networks,
    replay: Replay,
    given: Hyperparameters,
    optimizer: Optimizer,
    precision: Precision,
    settings: Settings,
) -> StepGraph:
    """The graph of a gradient step; its prediction is (2, batch): values of the actions taken, and |TD errors|."""
    trace = networks.trace("dqn_step", precision.wide)
    batch = _drawn(trace, replay, given.batch_size)
    values = of_actions(networks.online(batch.before), batch.action)
    after = BOOTSTRAPS[given.double](networks.online, networks.target, batch.after)
    errors = (values - (batch.reward + batch.discount * after)).op("abs")
    losses = LOSSES[given.loss](errors)
    if given.prioritized:
        losses = losses * _importance(trace, batch.shares)
        priorities = (errors + _LEAST_ERROR).op("cast", to="fp64").op("pow", given.alpha)
        trace.node("update_sum_tree", [batch.tree, batch.slots, priorities])
    both = trace.node("concat", [values.reshape(1, -1), errors.reshape(1, -1)], axis=0)[0]
    graph, read = networks.finish(trace, [losses.mean(0), both])
    online = {id(array) for array in networks.online.parameters()}
    trained = [name for name, array in read.items() if id(array) in online]
    graph = narrowed(split_phases(graph), precision, trained, settings)
    return step_of(graph, trained, read, optimizer, precision)


def greedy(networks: Networks, observation: Observation, count: int, dtype: str) -> tuple[Graph, dict[str, Array]]:
    """The graph of the best actions (count,) for so many observations, with its parameters."""
    trace = networks.trace("dqn_act", dtype)
    values = networks.online(trace.input("observation", (count, *observation.shape), observation.dtype))
    return networks.finish(trace, [values.op("arg_max", axis=1, keepdims=0)])


@dataclass(frozen=True)
class _Batch:
    """Transitions drawn."""

    before: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    after: Tensor
    tree: Tensor
    slots: Tensor
    shares: Tensor


def drawing(replay: Replay, count: int) -> Graph:
    """The graph that draws alone, where frames are handed in: slots, shares, slots of the frames before and after."""
    trace = Trace("dqn_draw", {}, {}, "fp32")
    memory = _memory(trace, replay)
    slots, shares = trace.node("sample_sum_tree", [memory[TREE], trace.input(DRAWS, (count,), "fp64")], 2)
    return with_parameters(trace.finish([slots, shares, *_numbers(replay, memory, slots)]), {}, trace.dtype)


def _memory(trace: Trace, replay: Replay) -> dict[str, Tensor]:
    return {name: trace.input(name, array.shape, dtype) for name, (array, dtype) in replay.described().items()}


def _numbers(replay: Replay, memory: dict[str, Tensor], slots: Tensor) -> tuple[Tensor, Tensor]:
    """The slots (count · stack,) of the frames that observations before and after consist of."""
    length = np.array(replay.length)
    place = slots.op("mod", length)  # within its ring
    ring = slots - place

    def numbers(places: Tensor) -> Tensor:
        """The frames of the observations that end at these places of each ring."""
        ends, stack = (ring + places).reshape(-1, 1), replay.observation.stack
        if stack == 1:
            return ends.reshape(-1)
        age = memory[AGE].op("gather", ends.reshape(-1)).op("cast", to="int64").reshape(-1, 1)
        back = age.op("min", np.arange(stack)[None, ::-1])
        return (ring.reshape(-1, 1) + (places.reshape(-1, 1) - back + length).op("mod", length)).reshape(-1)

    ahead = memory[AHEAD].op("gather", slots).op("cast", to="int64")
    return numbers(place), numbers((place + ahead).op("mod", length))


def _drawn(trace: Trace, replay: Replay, count: int) -> _Batch:
    memory, seen = _memory(trace, replay), replay.observation
    shape = (count, *seen.shape)
    if replay.packed:
        slots, shares = trace.input(SLOTS, (count,), "int64"), trace.input(SHARES, (count,), "fp64")
        before, after = (trace.input(name, shape, seen.dtype) for name in (BEFORE, AFTER))
    else:
        slots, shares = trace.node("sample_sum_tree", [memory[TREE], trace.input(DRAWS, (count,), "fp64")], 2)
        before, after = (
            memory[FRAMES].op("gather", numbers).reshape(*shape) for numbers in _numbers(replay, memory, slots)
        )

    def column(name: str, dtype: str) -> Tensor:
        return memory[name].op("gather", slots).op("cast", to=dtype)

    action = column(ACTION, "int64").reshape(-1, 1)
    reward, discount = column(REWARD, trace.dtype), column(DISCOUNT, trace.dtype)
    return _Batch(before, action, reward, discount, after, memory[TREE], slots, shares)


def _importance(trace: Trace, shares: Tensor) -> Tensor:
    """(N · share)^−β over its largest: the number of transitions cancels."""
    rarest = shares.op("reduce_min", np.array([0]), keepdims=1)
    return (rarest / shares).op("pow", trace.input(BETA, (1,), "fp64")).op("cast", to=trace.dtype)
