"""Tabular Q-learning as published for deployment search: layers in order, the state is the layer and the choice before.

    Q(s, a) ← Q(s, a) + α (r + γ max Q(s', ·) − Q(s, a)),    r = −(time of the layer and of the conversions it causes)

with experience replay and an ε that is 1 for half of the episodes and then falls in steps of 0.1 (de Prado, Pazos and
Benini, "Learning to infer: RL-based search for DNN primitive selection on heterogeneous embedded systems", DATE 2019;
the constants are theirs). What only a whole assignment tells is added to the last layer's reward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thew.errors import InputError
from thew.search.agents.agent import Agent
from thew.search.game import Assignment, Table

_STEPS = 10  # in which ε falls from 1 to 0


def epsilon_of(episode: int, episodes: int, exploration: float) -> float:
    """The share of random choices in an episode: 1 for a share of them, then falling in steps."""
    greedy = episode / episodes - exploration
    if greedy < 0:
        return 1.0
    step = int(greedy / max(1 - exploration, 1e-9) * _STEPS)
    return max(0.0, 1 - (step + 1) / _STEPS)


@dataclass
class QLearning(Agent):
    """Tabular Q-learning.

    Attributes:
        learning_rate: α.
        discount: γ.
        replay: remembered episodes that are learnt from again after each one.
        exploration: share of the episodes at ε = 1.
    """

    learning_rate: float = 0.05
    discount: float = 0.9
    replay: int = 128
    exploration: float = 0.5

    name = "q-learning"
    summary = "tabular Q-learning over layers in order, with experience replay"

    def __post_init__(self) -> None:
        for what, low, high in (("learning_rate", 0, 1), ("discount", 0, 1), ("exploration", 0, 1)):
            if not low <= (value := getattr(self, what)) <= high:
                raise InputError(f"agent '{self.name}': {what} must be from {low} to {high}, got {value}")
        if self.replay < 0:
            raise InputError(f"agent '{self.name}': replay must be at least 0, got {self.replay}")

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Starts with an empty table and no experience."""
        super().begin(table, episodes, seed)
        count, most = len(table), max(table.options(layer) for layer in range(len(table)))
        # By layer, choice before, choice: zero is better than anything that can be earned, so that what was never tried
        # is tried first. Rows past the last layer and choices that a layer has not stay at their start.
        self._q = np.zeros((count + 1, most, most))
        for layer in range(count):
            self._q[layer, :, table.options(layer) :] = -np.inf
        self._actions = np.zeros((episodes, count), dtype=np.int64)
        self._rewards = np.zeros((episodes, count))
        self._worst = self._scale = 0.0

    def ask(self) -> Assignment:
        """Greedy by Q, save for a share ε of the choices."""
        explores = self.random.random(len(self.table)) < epsilon_of(self.episode, self.episodes, self.exploration)
        chosen: list[int] = []
        for layer in range(len(self.table)):
            if explores[layer]:
                chosen.append(self.any_option(layer, chosen))
            else:
                q = self._q[layer, chosen[-1] if chosen else 0, : self.table.options(layer)]
                chosen.append(int(np.where(np.isfinite(self.table.costs(layer, chosen)), q, -np.inf).argmax()))
        return tuple(chosen)

    def tell(self, chosen: Assignment, value: float) -> None:
        """Learns from the episode and from as many remembered ones as are to be replayed."""
        costs = np.array([self.table.costs(layer, chosen)[option] for layer, option in enumerate(chosen)])
        self._scale = self._scale or float(costs.mean()) or 1.0
        rest = value - float(costs.sum())
        if np.isfinite(rest):
            self._worst = max(self._worst, rest)
        costs[-1] += rest if np.isfinite(rest) else self._worst + 10 * self._scale * len(costs)
        episode = self.episode
        self._actions[episode], self._rewards[episode] = chosen, -costs / self._scale
        super().tell(chosen, value)
        replayed = self.random.integers(episode + 1, size=min(self.replay, episode + 1))
        self._learn(np.append(replayed, episode))

    def _learn(self, episodes: NDArray[np.int64]) -> None:
        """One update of every move of those episodes; moves that are the same count as repeated updates towards their
        mean.
        """
        actions, rewards = self._actions[episodes], self._rewards[episodes]
        layers = np.broadcast_to(np.arange(actions.shape[1]), actions.shape)
        states = np.concatenate((np.zeros((len(actions), 1), dtype=np.int64), actions[:, :-1]), axis=1)
        future = self._q.max(axis=2)[layers + 1, actions]
        place = np.ravel_multi_index((layers, states, actions), self._q.shape).reshape(-1)
        counts = np.bincount(place, minlength=self._q.size)
        sums = np.bincount(place, weights=(rewards + self.discount * future).reshape(-1), minlength=self._q.size)
        touched = counts.nonzero()[0]
        share = 1 - (1 - self.learning_rate) ** counts[touched]
        q = self._q.reshape(-1)
        q[touched] += share * (sums[touched] / counts[touched] - q[touched])
