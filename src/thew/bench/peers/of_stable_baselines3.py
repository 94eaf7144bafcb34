"""Stable-Baselines3's DQN: steps of the environment with their gradient steps, within its own loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.tasks import DQNTask, Task

VERSION_OF = ("stable_baselines3", "torch")


def environment(threads: int) -> Mapping[str, str]:
    """The variable that PyTorch's OpenMP reads."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """A model that has filled its replay."""
    if not isinstance(task, DQNTask) or task.work != "environment":
        return None
    import gymnasium
    import torch
    from stable_baselines3 import DQN

    import thew

    torch.set_num_threads(task.threads)
    frames = thew.rl.environments.make(task.env_id)
    env = gymnasium.wrappers.FrameStackObservation(gymnasium.wrappers.TransformReward(frames, np.sign), 4)
    model = DQN(
        "CnnPolicy", env, learning_rate=task.learning_rate, buffer_size=task.transitions, batch_size=task.batch,
        gamma=task.gamma, train_freq=4, learning_starts=100, exploration_initial_eps=0.0, exploration_final_eps=0.0,
        seed=task.seed, device="cpu",
    )  # fmt: skip
    model.learn(120)

    def call() -> list[Any]:
        model.learn(task.steps, reset_num_timesteps=False)
        return [np.zeros(1)]

    return Ready(call)
