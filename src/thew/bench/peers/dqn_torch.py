"""DQN in PyTorch as CleanRL's single file has it: the reference that Thew's agent is timed against.

The replay keeps whole stacks, as usual there; stacks before and after a step share memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from thew.bench.tasks import DQNTask


def nature(actions: int) -> Any:
    """The network of Mnih et al. 2015, of four frames of 84×84."""
    return nn.Sequential(
        nn.Conv2d(4, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, actions),
    )  # fmt: skip


class Agent:
    """Networks, optimiser, replay and the two things that are timed: a gradient step and a greedy action."""

    def __init__(self, task: DQNTask, actions: int) -> None:
        self.task = task
        self.online, self.target = self._network(actions), self._network(actions)
        self.target.load_state_dict(self.online.state_dict())
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=task.learning_rate, fused=True)
        frames = task.frames()
        capacity = task.transitions
        self.stacks = np.zeros((capacity + 1, 4, 84, 84), np.uint8)
        for at in range(capacity + 1):
            self.stacks[at] = frames[np.maximum(np.arange(at - 3, at + 1), 0)]
        self.actions, self.rewards = task.actions(), task.rewards()

    def _network(self, actions: int) -> Any:
        network = nature(actions)
        with torch.no_grad():
            for tensor, array in zip(network.parameters(), self.task.weights(), strict=True):
                tensor.copy_(torch.from_numpy(array))
        return network

    def step(self, slots: Any) -> float:
        """One gradient step on the transitions of these numbers."""
        before, after = (torch.from_numpy(self.stacks[slots + ahead]) for ahead in (0, 1))
        actions, rewards = torch.from_numpy(self.actions[slots]), torch.from_numpy(self.rewards[slots])
        with torch.no_grad():
            targets = rewards + self.task.gamma * self.target(after / 255.0).max(dim=1).values
        values = self.online(before / 255.0).gather(1, actions[:, None]).squeeze(1)
        loss = nn.functional.smooth_l1_loss(values, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def act(self, stack: Any) -> int:
        """The best action of one stack of frames (1, 4, 84, 84)."""
        with torch.no_grad():
            return int(self.online(torch.from_numpy(stack) / 255.0).argmax(dim=1)[0])


def environment_steps(agent: Agent, make: Callable[[], Any]) -> Callable[[], list[Any]]:
    """Steps of a real environment: a greedy action and a transition kept each, and a gradient step to every fourth."""
    env, random = make(), np.random.default_rng(agent.task.seed)
    frame, _ = env.reset(seed=agent.task.seed)
    stack, at = np.stack([frame] * 4), 0

    def call() -> list[Any]:
        nonlocal stack, at
        for step in range(agent.task.steps):
            action = agent.act(stack[None])
            frame, reward, terminated, truncated, _ = env.step(action)
            stack = np.concatenate([stack[1:], frame[None]])
            agent.stacks[at + 1], agent.actions[at], agent.rewards[at] = stack, action, np.sign(reward)
            at = (at + 1) % agent.task.transitions
            if terminated or truncated:
                frame, _ = env.reset()
                stack = np.stack([frame] * 4)
            if step % 4 == 3:
                agent.step(random.integers(0, agent.task.transitions, agent.task.batch))
        return [np.zeros(1)]

    return call
