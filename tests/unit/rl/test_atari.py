"""Atari's frames: resizing against means over areas, and what ends an episode."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ale_py")
from thew.rl.atari import SIZE, Shrink, covering
from thew.rl.environments import make
from thew.runtime import InferenceSession


def test_a_pixel_is_the_mean_of_the_area_that_it_covers():
    """Against a picture blown up so that both sizes divide it: then areas are whole blocks."""
    random = np.random.default_rng(0)
    screens = random.integers(0, 256, (2, 210, 160)).astype(np.uint8)
    session = InferenceSession(Shrink(210, 160).graph((2, 210, 160), input_dtype="uint8"))
    (frame,) = session.run(None, {"input": screens})
    large = screens.max(0).astype(np.float64).repeat(2, 0).repeat(21, 1)  # 420 = 5 · 84 rows, 3360 = 40 · 84 columns
    wanted = large.reshape(SIZE, 5, SIZE, 40).mean((1, 3))
    assert frame.shape == (SIZE, SIZE) and frame.dtype == np.uint8
    assert np.abs(frame - wanted).max() <= 0.5 + 1e-4  # rounded once, after sums in fp32
    np.testing.assert_allclose(covering(210, SIZE).sum(1), 1, rtol=1e-6)


def test_a_lost_life_ends_an_episode_but_not_the_game():
    env, game = make("ALE/Breakout-v5"), make("ALE/Breakout-v5", is_training=False)
    frame, _ = env.reset(seed=3)
    assert frame.shape == (SIZE, SIZE) and frame.max() > 0
    lives = []
    for _ in range(3000):
        _, _, terminated, _, info = env.step(1)  # serves whenever there is no ball, which then falls
        if terminated:
            lives.append(info["game_over"])
            env.reset()
            if info["game_over"]:
                break
    assert lives == [False] * 4 + [True]
    game.reset(seed=3)
    assert not any(game.step(0)[2] for _ in range(100))
