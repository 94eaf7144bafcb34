"""Replay memory: every frame once, in a ring for each environment, and a sum tree over what may be drawn.

A slot holds a frame and what followed from the observation that ends with it: action, reward, discount, how far ahead
the target bootstraps. Stacks are made when they are drawn, from `age`, the frames before it in its episode. The tree
gives each slot its priority; 0 keeps one from being drawn: its rewards are not in yet, it ends an episode, or frames of
its stack are overwritten. Uniform replay is a tree of ones.

All arrays are states of the learner's graph (`thew.rl.learner`), which reads them where they lie. Compressed frames are
no array: the learner then draws first, and hands the frames in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.dtypes import from_numpy, to_numpy
from thew.errors import InputError
from thew.ir.graph import Array
from thew.rl.hyperparameters import Hyperparameters
from thew.rl.n_step import NStep
from thew.rl.observation import Observation
from thew.rl.packed import PackedFrames
from thew.runtime.native import bind_kernel, supported_rows

FRAMES, AGE, ACTION, REWARD = "replay.frames", "replay.age", "replay.action", "replay.reward"
DISCOUNT, AHEAD, TREE = "replay.discount", "replay.ahead", "replay.tree"
_COLUMNS = {AGE: "int32", ACTION: "int32", REWARD: "fp32", DISCOUNT: "fp32", AHEAD: "int32"}
_TREE_BYTES = 16  # of a slot: a leaf and, on average, one sum


def slot_bytes(observation: Observation) -> int:
    """What a slot takes."""
    return observation.frame_bytes + 4 * len(_COLUMNS) + _TREE_BYTES


def capacity_of(memory_bytes: int, observation: Observation) -> int:
    """Slots that fit into so much memory. Raises InputError where none does."""
    capacity = memory_bytes // slot_bytes(observation)
    if capacity < 1:
        raise InputError(f"replay: memory must hold a slot of {slot_bytes(observation)} bytes, got {memory_bytes}")
    return capacity


class Replay:
    """The replay memory of an agent.

    Args:
        observation: what is stored.
        hyperparameters: `buffer_size` slots are shared by `num_envs` environments.
        path: a file to keep the frames in, mapped into memory; by default they are in memory.
        is_packed: frames are compressed.

    Raises:
        InputError: frames in a file are to be compressed.
    """

    def __init__(
        self,
        observation: Observation,
        hyperparameters: Hyperparameters,
        path: str | os.PathLike[str] | None = None,
        is_packed: bool = False,
    ) -> None:
        if is_packed and path is not None:
            raise InputError(
                "replay: frames in a file must be as they are, got both a file and compression; choose one"
            )
        given = hyperparameters
        self.observation = observation
        self.length = given.buffer_size // given.num_envs
        self.capacity = self.length * given.num_envs
        shape, dtype = (self.capacity, *observation.frame_shape), to_numpy(observation.dtype)
        self.packed = PackedFrames(self.capacity, observation.frame_shape, np.dtype(dtype)) if is_packed else None
        self.arrays: dict[str, Array] = {}
        if not is_packed:
            self.arrays[FRAMES] = np.zeros(shape, dtype) if path is None else np.memmap(path, dtype, "w+", shape=shape)
        self._frames = self.packed or self.arrays[FRAMES]
        self.arrays.update((name, np.zeros(self.capacity, to_numpy(kind))) for name, kind in _COLUMNS.items())
        self.arrays[TREE] = np.zeros(2 * self.capacity)
        self.priority = 1.0  # of transitions not seen by the learner yet: the largest so far
        self.written = 0  # frames since the start
        self._heads = [-1] * given.num_envs  # slots written last, counted from each ring's start
        self._returns = [NStep(given.n_step, given.gamma) for _ in range(given.num_envs)]
        row = next(row for row in supported_rows() if row.family == "sum_tree")
        self._slots, self._values = np.zeros(1, np.int64), np.zeros(1)
        tree = self.arrays[TREE]
        self._set = bind_kernel(row.name, "update_sum_tree", [tree, self._slots, self._values], [tree])

    def position(self) -> dict[str, Any]:
        """Where the rings stand, for JSON; the arrays are the rest."""
        pending = [returns.state() for returns in self._returns]
        return {"heads": self._heads, "written": self.written, "priority": self.priority, "pending": pending}

    def saved(self) -> dict[str, Array]:
        """All that a checkpoint needs beside the position."""
        return {**self.arrays, **(self.packed.arrays(FRAMES) if self.packed else {})}

    def restore(self, position: Mapping[str, Any], found: Mapping[str, Array]) -> None:
        """Goes on from there, with what `saved` gave. Raises KeyError or ValueError where it is of another replay."""
        for name, array in self.arrays.items():
            np.copyto(array, found[name])
        if self.packed:
            self.packed.restore(FRAMES, found)
        self._heads, self.written = list(position["heads"]), int(position["written"])
        self.priority = float(position["priority"])
        for returns, pending in zip(self._returns, position["pending"], strict=True):
            returns.restore(pending)

    def abandon(self, environment: int) -> None:
        """Forgets the transitions whose rewards will not come in any more."""
        self._returns[environment].restore()

    def described(self) -> dict[str, tuple[Array, str]]:
        """The arrays with their dtypes, by name."""
        return {name: (array, from_numpy(array.dtype)) for name, array in self.arrays.items()}

    @property
    def memory_bytes(self) -> int:
        """Of all arrays, and of what is compressed by now."""
        return sum(array.nbytes for array in self.arrays.values()) + (self.packed.nbytes if self.packed else 0)

    @property
    def total(self) -> float:
        """Sum of all priorities: 0 as long as nothing may be drawn; in uniform replay the number of transitions."""
        return float(self.arrays[TREE][1])

    def begin(self, environment: int, frame: Array) -> None:
        """The first frame of an episode."""
        self._write(environment, frame, 0)

    def add(
        self, environment: int, action: int, reward: float, frame: Array, terminated: bool, truncated: bool
    ) -> None:
        """One step: the action at the frame written last, and what came of it."""
        slot = self._slot(environment)
        self.arrays[ACTION][slot] = action
        age = int(self.arrays[AGE][slot])
        self._write(environment, frame, min(age + 1, self.observation.stack - 1))
        for whole in self._returns[environment].push(slot, reward, terminated, truncated):
            for name, value in ((REWARD, whole.reward), (DISCOUNT, whole.discount), (AHEAD, whole.ahead)):
                self.arrays[name][whole.slot] = value
            self._prioritise(whole.slot, self.priority)

    def _slot(self, environment: int) -> int:
        return environment * self.length + self._heads[environment]

    def _write(self, environment: int, frame: Array, age: int) -> None:
        """Writes a frame, having withdrawn the slot whose stack reaches back to it."""
        head = self._heads[environment] = (self._heads[environment] + 1) % self.length
        reaching = (head + self.observation.stack - 1) % self.length
        self._prioritise(environment * self.length + reaching, 0.0)
        slot = self._slot(environment)
        self.written += 1
        self._frames[slot] = frame
        self.arrays[AGE][slot] = age

    def _prioritise(self, slot: int, priority: float) -> None:
        self._slots[0], self._values[0] = slot, priority
        self._set()
