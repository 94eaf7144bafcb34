"""Hyperparameters under CleanRL's names, with a preset for each kind of observation."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from thew.errors import InputError
from thew.rl.observation import Observation


@dataclass(frozen=True)
class Hyperparameters:
    """What an agent is told; defaults are for Atari, and `preset` has those for other observations.

    Attributes:
        learning_rate: Adam's.
        anneal_lr: the learning rate falls linearly, to 0 at the last step.
        buffer_size: transitions that the replay holds.
        gamma: discount.
        tau: share of the online network in the target network at an update; 1 copies it.
        target_network_frequency: environment steps between updates of the target network.
        batch_size: transitions of a gradient step.
        start_e: ε at first, the probability of a random action.
        end_e: ε at last.
        exploration_fraction: share of all steps over which ε falls linearly.
        learning_starts: environment steps before the first gradient step.
        train_frequency: environment steps to one gradient step.
        num_envs: environments that are stepped together.
        n_step: rewards of a target before it bootstraps (Sutton 1988).
        double: actions of targets are the online network's (van Hasselt et al. 2016).
        dueling: the network has a stream for the state's value and one for advantages (Wang et al. 2016).
        prioritized: transitions are drawn by their TD error (Schaul et al. 2016).
        alpha: exponent of the priorities.
        beta: exponent of the importance weights at first; it rises linearly to 1.
        loss: of TD errors, "huber" or "mse".
        max_grad_norm: gradients are scaled down to this norm; 0 leaves them.
        adam_eps: Adam's ε.
        clip_reward: rewards are cut to their sign for learning.
        frame_stack: two-dimensional frames of an observation.
        keep_best: a run ends with the network that was best in evaluations, 20 of them beside those asked for.
        eval_episodes: of each evaluation.
        eval_epsilon: ε of evaluations; above 0, so that a policy that waits for ever is not waited for.
    """

    learning_rate: float = 1e-4
    anneal_lr: bool = False
    buffer_size: int = 1_000_000
    gamma: float = 0.99
    tau: float = 1.0
    target_network_frequency: int = 1000
    batch_size: int = 32
    start_e: float = 1.0
    end_e: float = 0.01
    exploration_fraction: float = 0.1
    learning_starts: int = 80_000
    train_frequency: int = 4
    num_envs: int = 1
    n_step: int = 1
    double: bool = False
    dueling: bool = False
    prioritized: bool = False
    alpha: float = 0.5
    beta: float = 0.4
    loss: str = "huber"
    max_grad_norm: float = 0.0
    adam_eps: float = 1e-8
    clip_reward: bool = False
    frame_stack: int = 4
    keep_best: bool = False
    eval_episodes: int = 10
    eval_epsilon: float = 0.05

    def __post_init__(self) -> None:
        for known in fields(self):
            value, usual = getattr(self, known.name), known.default
            if not isinstance(value, (int, float) if isinstance(usual, float) else type(usual)):
                raise InputError(f"DQN: {known.name} must be of a kind with {usual!r}, got {value!r}")
        for name in ("buffer_size", "batch_size", "train_frequency", "target_network_frequency", "num_envs", "n_step"):
            if getattr(self, name) < 1:
                raise InputError(f"DQN: {name} must be at least 1, got {getattr(self, name)!r}")
        for name in ("gamma", "tau", "start_e", "end_e", "exploration_fraction", "alpha", "beta", "eval_epsilon"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"DQN: {name} must be within [0, 1], got {getattr(self, name)!r}")
        if self.loss not in ("huber", "mse"):
            raise InputError(f"DQN: loss must be 'huber' or 'mse', got {self.loss!r}")
        if self.buffer_size < self.num_envs * (self.n_step + self.frame_stack + 1):
            raise InputError(
                f"DQN: buffer_size must hold the steps of a target and a stack of each of {self.num_envs} environments,"
                f" got {self.buffer_size}"
            )

    def epsilon(self, step: int, total: int) -> float:
        """ε at a step of so many in all."""
        share = min(step / max(self.exploration_fraction * total, 1e-12), 1.0)
        return self.start_e + share * (self.end_e - self.start_e)

    def with_changes(self, changes: dict[str, Any]) -> Hyperparameters:
        """Some of them changed. Raises InputError for a name that is none."""
        known = {field.name for field in fields(self)}
        for name in changes:
            if name not in known:
                raise InputError(f"DQN: hyperparameters are {', '.join(sorted(known))}, got {name!r}")
        return replace(self, **changes)


def preset(observation: Observation) -> Hyperparameters:
    """What suits a kind of observation: stacks of frames (Atari), small images (MinAtar), vectors.

    Rewards of vectors are not clipped, so that errors must not be either: ends of episodes are rare and their errors
    large. A target network that follows slowly, a learning rate that falls, and a memory that still has the first games
    keep what was learnt for longer; not always to the end, so that the best network is kept.
    """
    if observation.stack > 1:
        return Hyperparameters(clip_reward=True)
    if len(observation.frame_shape) > 1:
        return Hyperparameters(
            learning_rate=5e-4, anneal_lr=True, buffer_size=100_000, learning_starts=5000, train_frequency=2,
            double=True, n_step=3,
        )  # fmt: skip
    return Hyperparameters(
        learning_rate=1e-3, anneal_lr=True, buffer_size=100_000, tau=0.01, target_network_frequency=1, batch_size=128,
        end_e=0.04, learning_starts=1000, train_frequency=2, double=True, loss="mse", keep_best=True,
        eval_epsilon=0.0,
    )  # fmt: skip
