"""`Observation`: how what an agent sees is stored: single frames, of which the last few are stacked."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from thew.dtypes import size_bytes, to_numpy
from thew.errors import UnsupportedError
from thew.ir.graph import Array


@dataclass(frozen=True)
class Observation:
    """The frames of an environment, and the observations made of them.

    Attributes:
        frame_shape: of one frame.
        dtype: "uint8" or "fp32".
        stack: frames of an observation, the newest last; the first of an episode is repeated where there are fewer.
        largest: what a frame's numbers are divided by before the network.
    """

    frame_shape: tuple[int, ...]
    dtype: str
    stack: int = 1
    largest: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an observation: stacked frames are channels."""
        return self.frame_shape if self.stack == 1 else (self.stack, *self.frame_shape)

    def begin(self, frame: Array) -> Array:
        """The observation at an episode's first frame."""
        return np.ascontiguousarray(frame, to_numpy(self.dtype)) if self.stack == 1 else np.stack([frame] * self.stack)

    def push(self, observation: Array, frame: Array) -> Array:
        """The next observation: the oldest frame out, this one in."""
        return self.begin(frame) if self.stack == 1 else np.concatenate([observation[1:], frame[None]])

    def newest(self, observation: Array) -> Array:
        """The frame that came last."""
        return observation if self.stack == 1 else np.asarray(observation[-1])

    @property
    def frame_bytes(self) -> int:
        """Of one frame."""
        return prod(self.frame_shape) * size_bytes(self.dtype)


def observation_of(space: object, stack: int = 4) -> Observation:
    """How observations of a Gymnasium space are stored; two-dimensional images are stacked.

    Raises:
        UnsupportedError: the space is no box of one to three dimensions.
    """
    shape, dtype = getattr(space, "shape", None), getattr(space, "dtype", None)
    if shape is None or dtype is None or not 1 <= len(shape) <= 3 or type(space).__name__ != "Box":
        raise UnsupportedError(f"observation space: must be a Box of one to three dimensions, got {space}")
    shape = tuple(int(extent) for extent in shape)
    if len(shape) == 1 or dtype.kind == "f":
        return Observation(shape, "fp32")
    largest = float(space.high.max())  # type: ignore[attr-defined]
    return Observation(shape, "uint8", stack if len(shape) == 2 else 1, largest)
