"""`Learner`: an agent's networks and optimiser, planned: a gradient step is one native call, and actions read the same
weights where they lie.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from thew.dtypes import to_numpy
from thew.ir.graph import Array
from thew.optim import Adam
from thew.rl.graph import AFTER, BEFORE, BETA, DRAWS, SHARES, SLOTS, Networks, drawing, gradient_step, greedy
from thew.rl.hyperparameters import Hyperparameters
from thew.rl.replay import Replay
from thew.runtime.executable import Executable, Settings, States
from thew.train.engine import adopt
from thew.train.precision import Precision
from thew.train.step import HYPER, LIMIT, SCALE, SCALING


class Result(NamedTuple):
    """What a gradient step gives."""

    loss: float
    values: Array  # (batch,) of the actions taken, before the step
    errors: Array  # (batch,) absolute TD errors


class Learner:
    """Plans and runs gradient steps and greedy actions.

    Args:
        networks: what is trained, and what targets come from.
        replay: what transitions are drawn from.
        hyperparameters: batch, method and optimiser.
        precision: of the step; actions are chosen in its wide type.
        settings: the device.
    """

    def __init__(
        self,
        networks: Networks,
        replay: Replay,
        hyperparameters: Hyperparameters,
        precision: Precision,
        settings: Settings,
    ) -> None:
        self.networks, self.replay, self.precision, self.settings = networks, replay, precision, settings
        for network in (networks.online, networks.target):
            adopt(network, to_numpy(precision.wide))
        self.update_target(1.0)
        given = hyperparameters
        optimizer = Adam(lr=given.learning_rate, eps=given.adam_eps, clip_norm=given.max_grad_norm or None)
        self._optimizer = optimizer
        step = gradient_step(networks, replay, given, optimizer, precision, settings)
        self.states = dict(step.fresh)  # of optimiser and loss scale
        types = {value.name: value.type for value in step.graph.inputs}
        arrays = {**step.own, **self.states, **replay.arrays}
        kept = {name: array for name, array in arrays.items() if name in types}
        successors = {name: after for name, after in step.successors.items() if after}
        self.executable = Executable(step.graph, types, settings, states=States(kept, successors))
        results = self.executable.results
        self._positions = results.index(step.loss), results.index(step.prediction)
        self._numbers: dict[str, Array] = {
            DRAWS: np.zeros(given.batch_size),
            BETA: np.array([given.beta]),
            HYPER: optimizer.hyper(),
            LIMIT: np.array([np.inf if optimizer.clip_norm is None else optimizer.clip_norm]),
            SCALING: precision.scaling.hyper(),
        }
        self._drawing = self._planned_drawing(given.batch_size) if replay.packed else None
        self._actors: dict[int, Executable] = {}

    def step(self, draws: Array, beta: float) -> Result:
        """One gradient step.

        Args:
            draws: (batch_size,) numbers within [0, 1), which decide on the transitions.
            beta: exponent of the importance weights, where replay is prioritised.
        """
        self._numbers[DRAWS][:] = draws
        self._numbers[BETA][0] = beta
        self._hand_in_frames()
        results = _run(self.executable, self._numbers)
        loss, (values, errors) = (results[position] for position in self._positions)
        return Result(float(loss), values, errors)

    def _planned_drawing(self, count: int) -> Executable:
        graph = drawing(self.replay, count)
        types = {value.name: value.type for value in graph.inputs}
        kept = {name: array for name, array in self.replay.arrays.items() if name in types}
        return Executable(graph, types, self.settings, states=States(kept, {}))

    def _hand_in_frames(self) -> None:
        """Draws, and unpacks the frames, where they are compressed."""
        packed = self.replay.packed
        if packed is None or self._drawing is None:
            return
        slots, shares, before, after = _run(self._drawing, self._numbers)
        frames = packed.take(np.concatenate([before, after]))
        shape = (2, len(slots), *self.replay.observation.shape)
        stacks = dict(zip((BEFORE, AFTER), frames.reshape(shape), strict=True))
        self._numbers.update({SLOTS: slots, SHARES: shares, **stacks})

    def set_rate(self, factor: float) -> None:
        """The learning rate from now on, as a share of the first."""
        np.copyto(self._numbers[HYPER], self._optimizer.hyper(factor))

    def act(self, observations: Array) -> Array:
        """The best action for each observation (n, …), as they are stored."""
        count = len(observations)
        if count not in self._actors:
            graph, read = greedy(self.networks, self.replay.observation, count, self.precision.wide)
            types = {value.name: value.type for value in graph.inputs}
            self._actors[count] = Executable(graph, types, self.settings, states=States(read, {}))
        return _run(self._actors[count], {"observation": observations})[0]

    def update_target(self, tau: float) -> None:
        """Moves the target network towards the online one by this share of the way."""
        for target, online in zip(self.networks.target.parameters(), self.networks.online.parameters(), strict=True):
            np.copyto(target, online if tau == 1 else target + tau * (online - target))

    @property
    def scaling(self) -> dict[str, float] | None:
        """The loss scale, clean steps since it changed, and skipped steps; None where the loss is not scaled."""
        state = self.states.get(SCALE)
        return None if state is None else dict(zip(("scale", "clean", "skipped"), map(float, state), strict=True))


def _run(executable: Executable, feeds: dict[str, Array]) -> list[Array]:
    single = executable.single
    if single is not None:
        return single.call([feeds[name] for name in single.inputs])
    return list(executable.run(feeds).values())
