"""Tabular Q-learning as published for deployment search: layers in order, the state is the layer and the choice before
it, or on graphs the choices that later layers depend on (`Table.state`), without which two states would look alike.

    Q(s, a) ← Q(s, a) + α (r + γ max Q(s', ·) − Q(s, a)),    r = −(time of the layer and of the conversions it causes)

with experience replay and an ε that is 1 for half of the episodes and then falls in steps of 0.1 (de Prado, Pazos and
Benini, "Learning to infer: RL-based search for DNN primitive selection on heterogeneous embedded systems", DATE 2019;
the constants are theirs). What only a whole assignment tells is added to the last layer's reward. An option that was
not tried in a state yet is taken for what it was worth in that layer's other states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thew.errors import InputError
from thew.search.agents.agent import Agent
from thew.search.game import Assignment, Table

_STEPS = 10  # in which ε falls from 1 to 0
_ROWS = 256  # of the table at first


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
        # By state and option: NaN where it was not tried, −∞ where it cannot be. Row 0 is the end. By layer and option:
        # −∞ where it was not tried.
        self._q = np.zeros((_ROWS, most))
        self._of_layers = np.full((count, most), -np.inf)
        self._layers = np.zeros(_ROWS, dtype=np.int64)
        self._rows: dict[tuple[int, ...], int] = {}
        self._actions = np.zeros((episodes, count), dtype=np.int64)
        self._states = np.zeros((episodes, count + 1), dtype=np.int64)
        self._rewards = np.zeros((episodes, count))
        self._worst = self._scale = 0.0

    def _row(self, layer: int, chosen: list[int]) -> int:
        """The row of a state."""
        key = (layer, *self.table.state(layer, chosen))
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = len(self._rows) + 1
            if row == len(self._q):
                self._q = np.concatenate((self._q, np.zeros_like(self._q)))
                self._layers = np.concatenate((self._layers, np.zeros_like(self._layers)))
            costs = self.table.costs(layer, chosen)
            self._layers[row], self._q[row] = layer, -np.inf
            self._q[row, : len(costs)][np.isfinite(costs)] = np.nan
        return row

    def ask(self) -> Assignment:
        """Greedy by Q, save for a share ε of the choices."""
        explores = self.random.random(len(self.table)) < epsilon_of(self.episode, self.episodes, self.exploration)
        chosen: list[int] = []
        for layer in range(len(self.table)):
            row = self._states[self.episode, layer] = self._row(layer, chosen)
            option = -1 if explores[layer] else self._best(layer, row)
            chosen.append(option if option >= 0 else self.any_option(layer, chosen))
        return tuple(chosen)

    def _best(self, layer: int, row: int) -> int:
        """The option of the greatest Q; -1 where none was ever tried."""
        q = np.where(np.isnan(self._q[row]), self._of_layers[layer], self._q[row])
        option = int(q.argmax())
        return option if q[option] > -np.inf else -1

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
        """One update of every move of those episodes."""
        actions, states = self._actions[episodes], self._states[episodes]
        count, most = self._of_layers.shape
        used = len(self._rows) + 1
        q = np.where(np.isnan(self._q[:used]), self._of_layers[self._layers[:used]], self._q[:used])
        best = q.max(axis=1)
        future = np.where(np.isfinite(best), best, 0.0)[states[:, 1:]]
        targets = (self._rewards[episodes] + self.discount * future).reshape(-1)
        self._move(self._q[:used], (states[:, :-1] * most + actions).reshape(-1), targets)
        self._move(self._of_layers, (np.arange(count) * most + actions).reshape(-1), targets)

    def _move(self, values: NDArray[np.float64], places: NDArray[np.int64], targets: NDArray[np.float64]) -> None:
        """Moves values towards their targets; moves that are the same count as repeated updates towards their mean.
        What was not tried before is there at once.
        """
        flat = values.reshape(-1)  # a view: rows are whole
        counts = np.bincount(places, minlength=flat.size)
        touched = counts.nonzero()[0]
        means = np.bincount(places, weights=targets, minlength=flat.size)[touched] / counts[touched]
        old = np.where(np.isfinite(flat[touched]), flat[touched], means)
        flat[touched] = old + (1 - (1 - self.learning_rate) ** counts[touched]) * (means - old)
