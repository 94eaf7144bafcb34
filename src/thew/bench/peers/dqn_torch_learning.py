"""DQN in PyTorch that learns from images, with the hyperparameters and networks of Thew's preset: the reference for
returns. Shares the environments with Thew's agent, and nothing of replay, targets, gradients or update.

The replay keeps whole transitions, their returns over n steps added up; the stacks in them are tuples of frames, which
they share.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from thew.bench.peers.dqn_torch import nature
from thew.ir.graph import Array
from thew.rl.environments import make
from thew.rl.hyperparameters import preset
from thew.rl.observation import observation_of
from thew.rl.play import play

Frames = tuple[Array, ...]


class Agent:
    """An agent of one environment whose observations are small images or stacks of frames.

    Args:
        env_id: Gymnasium's name.
        threads: PyTorch's.
        seed: of weights, games, exploration and draws.
        total: steps in all, which the schedules follow.
        hyperparameters: changes to the preset.
    """

    def __init__(
        self, env_id: str, threads: int, seed: int, total: int, hyperparameters: Mapping[str, Any] | None = None
    ) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        self.env_id, self.env_options, self.seed, self.total = env_id, dict[str, Any](), seed, total
        self.env, self.random = make(env_id), np.random.default_rng(seed)
        self.observation = observation_of(self.env.observation_space)
        self.actions = int(self.env.action_space.n)
        self.hyperparameters = preset(self.observation).with_changes(dict(hyperparameters or {}))
        self.online = self._network()
        self.target = copy.deepcopy(self.online)
        given = self.hyperparameters
        self.optimizer = torch.optim.Adam(
            self.online.parameters(), lr=given.learning_rate, eps=given.adam_eps, fused=True
        )
        room = min(given.buffer_size, total)
        self.before, self.after = np.empty(room, object), np.empty(room, object)
        self.taken = np.zeros(room, np.int64)
        self.rewards, self.discounts = np.zeros(room, np.float32), np.zeros(room, np.float32)
        self.stored = 0

    def _network(self) -> Any:
        if self.observation.stack > 1:
            return nature(self.actions)
        channels, height, width = self.observation.shape
        return nn.Sequential(
            nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(16 * (height - 2) * (width - 2), 128), nn.ReLU(), nn.Linear(128, self.actions),
        )  # fmt: skip

    def _images(self, seen: Iterable[Frames]) -> Array:
        return np.array(list(seen)).reshape(-1, *self.observation.shape)

    def _scaled(self, observations: Array) -> Any:
        return torch.from_numpy(observations).float() / self.observation.largest

    def act(self, observations: Array) -> Array:
        """The best actions for observations (n, …)."""
        with torch.no_grad():
            return np.asarray(self.online(self._scaled(observations)).argmax(dim=1).numpy())

    def evaluate(self, episodes: int) -> Array:
        """Returns of whole games, the same games as those of Thew's agent with this seed."""
        return play(self, episodes, self.hyperparameters.eval_epsilon, self.seed + 1_000_000)

    def learn(self) -> Iterator[int]:
        """Learns; gives the number of steps behind each."""
        given, pending = self.hyperparameters, deque[list[Any]]()
        seen = self._begin(seed=self.seed)
        for step in range(self.total):
            if step >= given.learning_starts and step % given.train_frequency == 0:
                self._update(step)
            if step % given.target_network_frequency == 0:
                self.target.load_state_dict(self.online.state_dict())
            explores = self.random.random() < given.epsilon(step, self.total)
            action = int(self.random.integers(self.actions) if explores else self.act(self._images([seen]))[0])
            frame, reward, terminated, truncated, _ = self.env.step(action)
            pending.append([seen, action, 0.0, 1.0])
            seen = (*seen[1:], np.asarray(frame))
            gained = float(np.sign(reward) if given.clip_reward else reward)
            for each in pending:
                each[2] += each[3] * gained
                each[3] *= given.gamma
            ended = terminated or truncated
            while pending and (ended or len(pending) == given.n_step):
                self._store(pending.popleft(), seen, terminated)
            if ended:
                seen = self._begin()
            yield step + 1

    def _begin(self, **seed: int) -> Frames:
        """A game's first frame, as often as an observation has frames."""
        return (np.asarray(self.env.reset(**seed)[0]),) * self.observation.stack

    def _store(self, transition: list[Any], after: Frames, terminated: bool) -> None:
        at = self.stored % len(self.taken)
        self.before[at], self.taken[at], self.rewards[at], discount = transition
        self.after[at], self.discounts[at] = after, discount * (not terminated)
        self.stored += 1

    def _update(self, step: int) -> None:
        """One gradient step of double Q-learning with Huber's loss."""
        given = self.hyperparameters
        for group in self.optimizer.param_groups:
            group["lr"] = given.learning_rate * (1 - step / self.total if given.anneal_lr else 1)
        drawn = self.random.integers(0, min(self.stored, len(self.taken)), given.batch_size)
        before, after = (self._scaled(self._images(seen[drawn])) for seen in (self.before, self.after))
        taken, rewards, discounts = (torch.from_numpy(a[drawn]) for a in (self.taken, self.rewards, self.discounts))
        with torch.no_grad():
            best = self.online(after).argmax(dim=1, keepdim=True)
            targets = rewards + discounts * self.target(after).gather(1, best).squeeze(1)
        values = self.online(before).gather(1, taken[:, None]).squeeze(1)
        loss = nn.functional.smooth_l1_loss(values, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
