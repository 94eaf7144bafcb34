"""Atari as Mnih et al. 2015 play it: an action held for four frames, the maximum of the last two, in grey, 84×84.

Gymnasium's own wrapper needs OpenCV for the resizing, and goes through a picture in colour at every frame. Here
resizing (each pixel the mean of the area that it covers) is two small products, planned like any graph. In training a
lost life ends an episode without a new game (Bellemare et al. 2016). Sticky actions are the environment's (0.25 in
ALE's version 5; Machado et al. 2018), and random no-ops come before a game.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from thew import nn
from thew.ir.graph import Array
from thew.runtime import InferenceSession

SIZE, SKIP, MOST_NO_OPS = 84, 4, 30


def covering(size: int, parts: int) -> Array:
    """(parts, size): row i holds the share of each pixel in the i-th of equal parts."""
    edges = np.linspace(0, size, parts + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(overlap, 0, None) * (parts / size), np.float32)


class Shrink(nn.Module):
    """The maximum of two screens (2, height, width), in (SIZE, SIZE)."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.rows, self.columns = covering(height, SIZE), covering(width, SIZE).T.copy()

    def forward(self, screens: nn.Tensor) -> nn.Tensor:
        """Both and the result are uint8."""
        pixels = screens.op("reduce_max", np.array([0]), keepdims=0).op("cast", to="fp32")
        shrunk = screens.trace.node("matmul", [self.rows, pixels @ self.columns])[0]
        return shrunk.op("round").op("cast", to="uint8")


class Atari(gymnasium.Wrapper):  # type: ignore[misc]  # where Gymnasium is absent, it is anything
    """Frames (84, 84) of an ALE environment made with ``frameskip=1``.

    Args:
        env: the environment.
        is_training: a lost life ends an episode; `reset` then goes on with the game.
    """

    def __init__(self, env: Any, is_training: bool) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE), np.uint8)
        self._ale = env.unwrapped.ale
        self._actions = self._ale.getMinimalActionSet()
        self._fires = "FIRE" in env.unwrapped.get_action_meanings()[1:2]
        self._is_training = is_training
        height, width = self._ale.getScreenDims()
        self._shrink = InferenceSession(Shrink(height, width).graph((2, height, width), input_dtype="uint8"))
        self._screens = np.zeros((2, height, width), np.uint8)
        self._lives, self._is_over = 0, True

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Four frames. `info["game_over"]` says whether the game is over rather than a life."""
        reward = 0.0
        for frame in range(SKIP):
            reward += self._ale.act(self._actions[action])
            if frame >= SKIP - 2:
                self._ale.getScreenGrayscale(self._screens[frame - SKIP + 2])
            if self._ale.game_over(with_truncation=True):
                break
        truncated = bool(self._ale.game_truncated())
        self._is_over = bool(self._ale.game_over(with_truncation=False)) or truncated
        lives, before = self._ale.lives(), self._lives
        self._lives = lives
        lost = self._is_training and 0 < lives < before
        return self._frame(), reward, (self._is_over or lost) and not truncated, truncated, {"game_over": self._is_over}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """A new game, or the next life of the one under way."""
        if self._is_over or seed is not None or not self._is_training:
            self.env.reset(seed=seed, options=options)
            for _ in range(int(self.env.unwrapped.np_random.integers(1, MOST_NO_OPS + 1))):
                self._ale.act(self._actions[0])
            self._is_over = False
        if self._fires:
            self._ale.act(self._actions[1])
        self._lives = self._ale.lives()
        self._ale.getScreenGrayscale(self._screens[1])
        self._screens[0] = 0
        return self._frame(), {}

    def _frame(self) -> Array:
        frame: Array = self._shrink.run(None, {"input": self._screens})[0]
        return frame
