"""Deep Q-learning (Mnih et al. 2015) over layers in order, with a network that Thew trains.

What is learnt is not a table but a function of what an option looks like (`thew.search.features`) and of the options
that its layer reads from: layers of like shapes are learnt together, and the network may start from another one's.

    Q(option, context) ← excess(option, context) + γ max(0, min Q(next option, next context))

The excess is a cost beyond the least that was seen of its layer, in units of a layer's mean; it is cut off above, since
how bad a bad option is does not matter. Replay draws whole episodes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from thew import nn, optim
from thew.errors import CheckpointError, InputError, ModelError
from thew.files import write_atomically
from thew.search.agents.agent import Agent
from thew.search.agents.q_learning import epsilon_of
from thew.search.features import of_labels, width
from thew.search.game import Assignment, Table
from thew.train.safetensors import pack, unpack

if TYPE_CHECKING:
    from thew.train import Trainer

_MOST_EXCESS = 4.0
Numbers = NDArray[np.float32]
Layers = NDArray[np.int64] | list[int]


@dataclass
class DeepQ(Agent):
    """Deep Q-learning.

    Attributes:
        learning_rate: of Adam.
        discount: γ.
        updates: steps of the optimiser after each episode.
        replay: remembered episodes that each of them learns from.
        exploration: share of the episodes at ε = 1.
        hidden: width of the network's two hidden layers.
        weights: path of weights to start from; empty for random ones.
    """

    learning_rate: float = 3e-3
    discount: float = 0.5
    updates: int = 4
    replay: int = 12
    exploration: float = 0.5
    hidden: int = 64
    weights: str | os.PathLike[str] = ""

    name = "deep-q"
    summary = "deep Q-learning on shapes, algorithms and precisions, trained with Thew"

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Starts with no experience, and with random weights or those of the file."""
        from thew.train import Trainer

        super().begin(table, episodes, seed)
        rows = table.features or of_labels(table.names, table.labels)
        self._counts = np.array([len(options) for options in rows])
        count, most = len(table), int(self._counts.max())
        self._options = np.zeros((count, most, width()), np.float32)  # by layer and option
        for layer, options in enumerate(rows):
            self._options[layer, : len(options)] = options
        self._closed = np.arange(most) >= self._counts[:, None]
        reads = [table.reads(layer) for layer in range(count)]
        self._shares = np.zeros((count, count), np.float32)  # of the layers before, in a layer's context
        for layer, before in enumerate(reads):
            self._shares[layer, before] = 1 / max(len(before), 1)
        self._actions = np.zeros((episodes, count), np.int64)
        self._costs = np.zeros((episodes, count))
        self._trainer = self._made(Trainer, seed)

    def _made(self, trainer: type[Trainer], seed: int) -> Trainer:
        inputs = 2 * width() + 1
        with nn.init.seeded(seed):
            first, second = nn.Linear(inputs, self.hidden), nn.Linear(self.hidden, self.hidden)
            network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(self.hidden, 1))
        if self.weights:
            self._load(network)
        self._network = network
        return trainer(network, "mse", optim.Adam(lr=self.learning_rate), (inputs,), seed=seed)

    def _load(self, network: nn.Module) -> None:
        path = Path(self.weights)
        try:
            state, _ = unpack(path.read_bytes(), f"weights '{path}'")
            network.load_state_dict(state)
        except (OSError, CheckpointError, ModelError) as error:
            raise InputError(
                f"agent '{self.name}': weights must be those that such an agent of this width saved, got {error}"
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the network's weights as safetensors, for another search to start from."""
        write_atomically(path, pack(self._network.state_dict(), {"agent": self.name}))

    def ask(self) -> Assignment:
        """The option of least Q for each layer, save for a share ε of the choices."""
        epsilon = epsilon_of(self.episode, self.episodes, self.exploration)
        explores = self.random.random(len(self.table)) < epsilon
        chosen: list[int] = []
        features = np.zeros((len(self.table), width()), np.float32)  # of what was chosen
        for layer in range(len(self.table)):
            allowed = np.isfinite(self.table.costs(layer, chosen))
            if explores[layer] or allowed.sum() == 1:
                chosen.append(self.any_option(layer, chosen))
            else:
                q = self._q(self._options[layer, None, : len(allowed)], (self._shares[layer] @ features)[None], [layer])
                chosen.append(int(np.where(allowed, q[0], np.inf).argmin()))
            features[layer] = self._options[layer, chosen[-1]]
        return tuple(chosen)

    def tell(self, chosen: Assignment, value: float) -> None:
        """Learns from the episode and from as many remembered ones as are to be replayed."""
        costs = np.array([self.table.costs(layer, chosen)[option] for layer, option in enumerate(chosen)])
        rest = value - float(costs.sum())
        costs[-1] += rest if np.isfinite(rest) else 10 * costs.sum()
        episode = self.episode
        self._actions[episode], self._costs[episode] = chosen, costs
        super().tell(chosen, value)
        for _ in range(self.updates):
            replayed = self.random.integers(episode + 1, size=self.replay - 1)
            self._learn(np.append(replayed, episode))

    def _learn(self, episodes: NDArray[np.int64]) -> None:
        """One step of Adam on every move of those episodes."""
        least = self._costs[: self.episode].min(axis=0)
        excess = (self._costs[episodes] - least) / max(float(least.mean()), 1e-12)
        features = self._options[np.arange(len(self.table)), self._actions[episodes]]  # (episodes, layers, width)
        contexts = np.einsum("tu,euf->etf", self._shares, features, optimize=True)
        targets = np.minimum(excess, _MOST_EXCESS).astype(np.float32)
        targets[:, :-1] += self.discount * self._least_after(contexts)
        layers = np.tile(np.arange(len(self.table)), len(episodes))
        rows = self._inputs(features.reshape(-1, 1, width()), contexts.reshape(-1, width()), layers)
        self._trainer.step(rows, targets.reshape(-1, 1))

    def _least_after(self, contexts: Numbers) -> Numbers:
        """The least Q of the layer after each one but the last, in the contexts of some episodes."""
        episodes, count = len(contexts), len(self.table) - 1
        if count == 0:
            return np.zeros((episodes, 0), np.float32)
        options = np.broadcast_to(self._options[1:], (episodes, *self._options[1:].shape))
        layers = np.tile(np.arange(1, count + 1), episodes)
        q = self._q(options.reshape(-1, *self._options.shape[1:]), contexts[:, 1:].reshape(-1, width()), layers)
        least: Numbers = np.where(self._closed[1:], np.inf, q.reshape(episodes, count, -1)).min(axis=2)
        return np.maximum(least, 0).astype(np.float32)  # nothing is below the least cost

    def _inputs(self, options: Numbers, contexts: Numbers, layers: Layers) -> Numbers:
        """Rows of the network's input for some places: options (places, n, width) beside the context of each."""
        places, n = options.shape[:2]
        position = np.asarray(layers, np.float32) / len(self.table)
        beside = np.concatenate((contexts, position[:, None]), axis=1)
        rows = np.concatenate((options, np.broadcast_to(beside[:, None], (places, n, width() + 1))), axis=2)
        return np.ascontiguousarray(rows.reshape(places * n, -1), np.float32)

    def _q(self, options: Numbers, contexts: Numbers, layers: Layers) -> Numbers:
        """Q of all options of some places."""
        rows = self._inputs(options, contexts, layers)
        return self._trainer.predict(rows, len(rows)).reshape(options.shape[:2])
