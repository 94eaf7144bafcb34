"""Episodes of made-up frames: given to a replay memory, and kept in lists, from which transitions follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thew.rl.hyperparameters import Hyperparameters
from thew.rl.observation import Observation
from thew.rl.replay import Replay

ACTIONS = 3
VECTOR, STACKED = Observation((5,), "fp32"), Observation((6, 7), "uint8", 3, 255.0)


@dataclass(eq=False)
class Episode:
    frames: list[Any]
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False


@dataclass
class Transition:
    before: Any
    action: int
    reward: float
    discount: float
    after: Any


class Recorded:
    """A replay memory filled by several environments, and what each of its slots must hold."""

    def __init__(self, seen: Observation, given: Hyperparameters, steps: int, is_packed: bool = False) -> None:
        self.seen, self.given = seen, given
        self.replay = Replay(seen, given, is_packed=is_packed)
        self.random = np.random.default_rng(5)
        self._at: dict[int, tuple[Episode, int]] = {}
        for environment in range(given.num_envs):
            self._play(environment, steps)

    def frame(self) -> Any:
        if self.seen.dtype == "uint8":
            return self.random.integers(0, 256, self.seen.frame_shape).astype(np.uint8)
        return self.random.standard_normal(self.seen.frame_shape).astype(np.float32)

    def _play(self, environment: int, steps: int) -> None:
        replay, length, written = self.replay, self.replay.length, 0
        episode = Episode([])

        def enter(frame: Any) -> None:
            nonlocal written
            self._at[environment * length + written % length] = (episode, len(episode.frames))
            episode.frames.append(frame)
            written += 1

        enter(self.frame())
        replay.begin(environment, episode.frames[0])
        for step in range(steps):
            ends = step % 13 == 12
            terminated = ends and step % 2 == 0
            action, reward, frame = (
                int(self.random.integers(ACTIONS)),
                float(self.random.standard_normal()),
                self.frame(),
            )
            replay.add(environment, action, reward, frame, terminated, ends and not terminated)
            episode.actions.append(action)
            episode.rewards.append(reward)
            enter(frame)
            if ends:
                episode.terminated = terminated
                episode = Episode([])
                enter(self.frame())
                replay.begin(environment, episode.frames[0])

    def _stack(self, episode: Episode, time: int) -> Any:
        if self.seen.stack == 1:
            return episode.frames[time]
        return np.stack([episode.frames[max(0, time - back)] for back in range(self.seen.stack - 1, -1, -1)])

    def transition(self, slot: int) -> Transition:
        """By definition."""
        episode, time = self._at[slot]
        steps = min(self.given.n_step, len(episode.actions) - time)
        assert steps > 0, "ends an episode"
        reward = sum(self.given.gamma**k * episode.rewards[time + k] for k in range(steps))
        is_end = episode.terminated and time + steps == len(episode.actions)
        discount = 0.0 if is_end else self.given.gamma**steps
        return Transition(
            self._stack(episode, time), episode.actions[time], reward, discount, self._stack(episode, time + steps)
        )

    def drawable(self) -> set[int]:
        """Slots whose rewards are in, and whose stack does not reach to where the next frames go."""
        found = set()
        for slot, (episode, time) in self._at.items():
            is_next = 0 < (slot - self._ring(slot)[1]) % self.replay.length < self.seen.stack
            needed = self.given.n_step if episode is self._last(slot) else 1
            oldest = max(0, time - self.seen.stack + 1)
            is_whole = self._at.get(self._before(slot, time - oldest)) == (episode, oldest)
            if is_whole and not is_next and len(episode.actions) - time >= needed:
                found.add(slot)
        return found

    def _last(self, slot: int) -> Episode:
        """The episode under way in a slot's ring."""
        return self._at[self._ring(slot)[1]][0]

    def _ring(self, slot: int) -> tuple[int, int]:
        """First slot of a slot's ring, and the one written last."""
        ring = slot // self.replay.length
        first = ring * self.replay.length
        return first, first + self.replay.position()["heads"][ring]

    def _before(self, slot: int, back: int) -> int:
        ring = self._ring(slot)[0]
        return ring + (slot - ring - back) % self.replay.length
