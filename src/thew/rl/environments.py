"""Environments: made by their Gymnasium name, with frames as the replay stores them, and stepped together.

`send` starts the steps of all, `receive` gives what came of them: in between, the caller may learn. With workers, steps
run on threads (native code lets them: learning and emulators hold no lock); without, in `receive` itself. What comes
out is the same, so that runs repeat whatever the number of workers.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from thew.errors import InputError, UnsupportedError
from thew.ir.graph import Array


def gymnasium() -> Any:
    """The library. Raises UnsupportedError where it is absent."""
    try:
        return importlib.import_module("gymnasium")
    except ImportError as error:
        raise UnsupportedError("rl: environments are Gymnasium's; pip install 'thew[rl]'") from error


def make(name: str, is_training: bool = True, **options: Any) -> Any:
    """An environment whose observations are frames: Atari in grey, images with channels first, vectors in fp32.

    Raises:
        UnsupportedError: Gymnasium or the environment's package is absent, or actions are not discrete.
        InputError: there is no such environment.
    """
    gym = gymnasium()
    is_atari = name.startswith("ALE/")
    _register(name)
    if is_atari:
        options.setdefault("frameskip", 1)
    try:
        env = gym.make(name, **options)
    except gym.error.Error as error:
        raise InputError(f"environment '{name}': must be one that Gymnasium can make, got {error}") from error
    if type(env.action_space).__name__ != "Discrete":
        raise UnsupportedError(f"environment '{name}': actions must be discrete, got {env.action_space}")
    if is_atari:
        from thew.rl.atari import Atari

        return Atari(env, is_training)
    box = env.observation_space
    if getattr(box, "shape", None) is not None and len(box.shape) == 3:
        turned = gym.spaces.Box(0, 255 if box.dtype == np.uint8 else 1, (box.shape[2], *box.shape[:2]), np.uint8)
        return gym.wrappers.TransformObservation(env, lambda x: np.moveaxis(np.asarray(x, np.uint8), 2, 0), turned)
    return env


_PACKAGES = {"ALE": ("ale_py", "thew[rl]"), "MinAtar": ("minatar.gym", "MinAtar")}  # module, and what installs it


def _register(name: str) -> None:
    """Enters what a package has into Gymnasium's registry, where it does not do so itself."""
    namespace = name.partition("/")[0]
    if namespace not in _PACKAGES:
        return
    module, package = _PACKAGES[namespace]
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise UnsupportedError(f"environment '{name}': needs {module}; pip install '{package}'") from error
    if name not in gymnasium().registry and hasattr(found, "register_envs"):
        found.register_envs()


@dataclass(frozen=True)
class Episode:
    """A finished game: the sum of its rewards, unclipped, and its steps."""

    episodic_return: float
    length: int


@dataclass(frozen=True)
class Step:
    """What came of one step of one environment.

    Attributes:
        frame: after it.
        reward: as the environment gives it.
        terminated: the episode ended, so that nothing follows.
        truncated: the episode was cut off.
        first: the next episode's first frame, where this one ended.
        episode: the game that ended.
    """

    frame: Array
    reward: float
    terminated: bool
    truncated: bool
    first: Array | None = None
    episode: Episode | None = None


class Environments:
    """Several environments stepped together; each begins its next episode by itself.

    Args:
        envs: from `make`.
        seed: the first episode of environment i is seeded with seed + i; later ones follow.
        workers: threads that step them; 0 for none.
    """

    def __init__(self, envs: Sequence[Any], seed: int, workers: int = 0) -> None:
        self.envs = list(envs)
        self.seed = seed
        self._returns = [0.0] * len(self.envs)
        self._lengths = [0] * len(self.envs)
        self._pool = ThreadPoolExecutor(workers, "thew-actor") if workers else None
        self._actions: Array = np.zeros(len(self.envs), np.int64)
        self._futures: list[Future[Step]] = []

    def __len__(self) -> int:
        return len(self.envs)

    @property
    def has_workers(self) -> bool:
        """Whether steps go on beside the caller."""
        return self._pool is not None

    def reset(self) -> list[Array]:
        """The first frames of new episodes."""
        return [env.reset(seed=self.seed + index)[0] for index, env in enumerate(self.envs)]

    def send(self, actions: Array) -> None:
        """Starts a step of each."""
        self._actions = actions
        if self._pool is not None:
            self._futures = [self._pool.submit(self._step, index) for index in range(len(self))]

    def receive(self) -> list[Step]:
        """What came of the steps that were started."""
        if self._pool is not None:
            return [future.result() for future in self._futures]
        return [self._step(index) for index in range(len(self))]

    def close(self) -> None:
        """Ends the threads and the environments."""
        if self._pool is not None:
            self._pool.shutdown()
        for env in self.envs:
            env.close()

    def _step(self, index: int) -> Step:
        env = self.envs[index]
        frame, reward, terminated, truncated, info = env.step(int(self._actions[index]))
        self._returns[index] += float(reward)
        self._lengths[index] += 1
        if not (terminated or truncated):
            return Step(frame, float(reward), False, False)
        episode = None
        if info.get("game_over", True):
            episode = Episode(self._returns[index], self._lengths[index])
            self._returns[index], self._lengths[index] = 0.0, 0
        return Step(frame, float(reward), bool(terminated), bool(truncated), env.reset()[0], episode)
