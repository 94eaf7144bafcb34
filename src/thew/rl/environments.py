"""Environments: made by their Gymnasium name, with frames as the replay stores them, and stepped together.

`send` starts the steps of all, `receive` gives what came of them: in between, the caller may learn. With workers, steps
run on threads (native code lets them: learning and emulators hold no lock); without, in `receive` itself. What comes
out is the same, so that runs repeat whatever the number of workers.

Every game has a seed of its own, so that it is a function of that and its actions: a checkpoint holds these, and who
goes on plays them again. That takes no environment's help, but that it repeats itself; `restore` sees whether it did.
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
        seed: the seed of each game follows from it, the environment's number and the game's.
        workers: threads that step them; 0 for none.
        first: number of the first environment.
    """

    def __init__(self, envs: Sequence[Any], seed: int, workers: int = 0, first: int = 0) -> None:
        self.envs = list(envs)
        self._seed, self._first = seed, first
        self._games = [0] * len(self.envs)  # begun so far
        self._played: list[list[int]] = [[] for _ in self.envs]  # actions of the games under way
        self._returns = [0.0] * len(self.envs)
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
        """The first frames of new games."""
        return [self._begin(index) for index in range(len(self))]

    def state(self) -> list[dict[str, Any]]:
        """Of each environment, for JSON: the number of its game and the actions that were played in it."""
        return [{"game": n, "played": list(played)} for n, played in zip(self._games, self._played, strict=True)]

    def skip(self, states: Sequence[dict[str, Any]]) -> None:
        """Goes on with other games than those of a `state`, which may be of another number of environments."""
        begun = max((int(state["game"]) for state in states), default=0)
        self._games = [begun] * len(self)

    def restore(self, states: Sequence[dict[str, Any]], shown: Sequence[Array]) -> list[Array | None]:
        """Plays the games of a `state` again.

        Args:
            states: of each environment.
            shown: the frame that each must then show.

        Returns:
            None for each that shows it, and the first frame of a new game of one that does not repeat itself.
        """
        return [self._play_again(index, *each) for index, each in enumerate(zip(states, shown, strict=True))]

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

    def step(self, actions: Array) -> list[Step]:
        """What comes of a step of each."""
        self.send(actions)
        return self.receive()

    def close(self) -> None:
        """Ends the threads and the environments."""
        if self._pool is not None:
            self._pool.shutdown()
        for env in self.envs:
            env.close()

    def _begin(self, index: int) -> Array:
        """The first frame of the next game of an environment."""
        numbers = (self._seed, self._first + index, self._games[index])
        self._games[index] += 1
        self._played[index], self._returns[index] = [], 0.0
        frame: Array = self.envs[index].reset(seed=int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1))[0]
        return frame

    def _play_again(self, index: int, state: dict[str, Any], shown: Array) -> Array | None:
        self._games[index] = int(state["game"]) - 1
        frame = self._begin(index)
        for self._actions[index] in state["played"]:
            step = self._step(index)
            frame = step.frame if step.first is None else step.first
        return None if np.array_equal(frame, shown) else self._begin(index)

    def _step(self, index: int) -> Step:
        env, action = self.envs[index], int(self._actions[index])
        frame, reward, terminated, truncated, info = env.step(action)
        self._returns[index] += float(reward)
        self._played[index].append(action)
        if not (terminated or truncated):
            return Step(frame, float(reward), False, False)
        if not info.get("game_over", True):
            return Step(frame, float(reward), bool(terminated), bool(truncated), env.reset()[0])
        episode = Episode(self._returns[index], len(self._played[index]))
        return Step(frame, float(reward), bool(terminated), bool(truncated), self._begin(index), episode)
