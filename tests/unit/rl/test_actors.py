"""Threads that step environments in native code while the learner learns: a round goes as without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from episodes import STACKED, Recorded
from test_learner import learner_of

from thew import nn
from thew.rl.environments import Environments
from thew.rl.hyperparameters import Hyperparameters
from thew.runtime import InferenceSession

ROUNDS, COUNT = 30, 3


class Halve(nn.Module):
    """(1, 1, 12, 14) to (6, 7), as an environment of Atari shrinks its screens."""

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return nn.AvgPool2d(2)(x.op("cast", to="fp32")).op("round").op("cast", to="uint8").reshape(6, 7)


class Screens:
    """Random screens, shrunk by a session that is all environments' or its own."""

    def __init__(self, session: InferenceSession) -> None:
        self.session, self.random = session, np.random.default_rng(0)

    def _frame(self) -> Any:
        screen = self.random.integers(0, 256, (1, 1, 12, 14)).astype(np.uint8)
        return self.session.run(None, {self.session.get_inputs()[0].name: screen})[0]

    def reset(self, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.random = np.random.default_rng(seed)
        return self._frame(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        ends = bool(self.random.random() < 0.1)
        return self._frame(), float(self.random.standard_normal()) + action, ends, False, {}

    def close(self) -> None:
        pass


def losses(workers: int, threads: int, shared: bool, packed: bool) -> list[float]:
    """Of the gradient steps of a run whose rounds are an agent's: send, learn, receive, store."""
    given = Hyperparameters(buffer_size=90, batch_size=16, num_envs=COUNT, prioritized=True)
    recorded = Recorded(STACKED, given, 40, is_packed=packed)
    learner, replay = learner_of(recorded, "fp32"), recorded.replay
    sessions = [
        InferenceSession(Halve().graph((1, 1, 12, 14), input_dtype="uint8"), threads=threads) for _ in range(COUNT)
    ]
    environments = Environments([Screens(sessions[0 if shared else i]) for i in range(COUNT)], 1, workers)
    for index, frame in enumerate(environments.reset()):
        replay.abandon(index)
        replay.begin(index, frame)
    random, found = np.random.default_rng(2), []
    for _ in range(ROUNDS):
        environments.send(random.integers(0, 3, COUNT))
        found.append(learner.step(random.random(16), 0.4).loss)
        for index, step in enumerate(environments.receive()):
            replay.add(index, 1, step.reward, step.frame, step.terminated, step.truncated)
            if step.first is not None:
                replay.begin(index, step.first)
    environments.close()
    return found


@pytest.mark.parametrize(("threads", "shared", "packed"), [(1, False, False), (2, True, False), (1, True, True)])
def test_rounds_are_the_same_with_and_without_actor_threads(threads: int, shared: bool, packed: bool) -> None:
    """Actors share programs, the pool of native threads and nothing of the replay memory with the learner."""
    alone = losses(0, threads, shared, packed)
    assert len(set(alone)) == ROUNDS and alone == losses(2, threads, shared, packed)
