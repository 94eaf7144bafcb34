"""Playing whole games with an agent's network, in an environment of their own: for evaluation, and to be watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from thew.ir.graph import Array
from thew.rl.environments import make
from thew.rl.observation import Observation

MOST_STEPS = 27_000  # of a game: half an hour of Atari


class Player(Protocol):
    """Whoever acts in an environment."""

    env_id: str
    env_options: dict[str, Any]
    observation: Observation
    actions: int

    def act(self, observations: Array) -> Array:
        """The best actions (n,) for observations (n, …)."""


def play(
    agent: Player, episodes: int, epsilon: float, seed: int, watch: Callable[[Any, Array], None] | None = None
) -> Array:
    """Returns of so many games.

    Args:
        agent: who plays.
        episodes: games; game i is seeded with seed + i.
        epsilon: probability of a random action.
        seed: of environment and actions.
        watch: told the environment and the observation before every step.
    """
    options = {**agent.env_options, **({"render_mode": "rgb_array"} if watch is not None else {})}
    env, random = make(agent.env_id, is_training=False, **options), np.random.default_rng(seed)
    returns = np.zeros(episodes)
    try:
        for game in range(episodes):
            seen = agent.observation.begin(env.reset(seed=seed + game)[0])
            for _ in range(MOST_STEPS):
                if watch is not None:
                    watch(env, seen)
                is_random = epsilon > 0 and random.random() < epsilon
                action = int(random.integers(agent.actions)) if is_random else int(agent.act(seen[None])[0])
                frame, reward, terminated, truncated, _ = env.step(action)
                returns[game] += float(reward)
                if terminated or truncated:
                    break
                seen = agent.observation.push(seen, np.asarray(frame))
    finally:
        env.close()
    return returns
