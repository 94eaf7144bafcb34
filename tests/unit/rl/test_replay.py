"""What may be drawn from the replay memory, and how much of it fits."""

from __future__ import annotations

import numpy as np
import pytest
from episodes import STACKED, VECTOR, Recorded

from thew.errors import InputError
from thew.rl.hyperparameters import Hyperparameters
from thew.rl.observation import Observation
from thew.rl.replay import TREE, Replay, capacity_of


@pytest.mark.parametrize("steps", [3, 20, 200])
@pytest.mark.parametrize(("envs", "n_step"), [(1, 1), (2, 3)])
@pytest.mark.parametrize("seen", [VECTOR, STACKED])
def test_only_whole_transitions_have_a_priority(seen, envs, n_step, steps):
    recorded = Recorded(seen, Hyperparameters(buffer_size=90, num_envs=envs, n_step=n_step), steps)
    leaves = recorded.replay.arrays[TREE][recorded.replay.capacity :]
    assert set(np.flatnonzero(leaves)) == recorded.drawable()
    assert recorded.replay.total == len(recorded.drawable())


def test_a_million_frames_of_atari_take_their_bytes_and_half_a_percent():
    atari = Observation((84, 84), "uint8", 4, 255.0)
    capacity = capacity_of(7_100_000_000, atari)
    assert 1_000_000 < capacity < 7_100_000_000 / (84 * 84)
    small = Replay(atari, Hyperparameters(buffer_size=1000))
    assert small.memory_bytes <= 1000 * 7_100_000_000 / capacity
    with pytest.raises(InputError, match="must hold a slot"):
        capacity_of(100, atari)


def test_frames_may_lie_in_a_file(tmp_path):
    given = Hyperparameters(buffer_size=50)
    replay = Replay(STACKED, given, tmp_path / "frames")
    frame = np.arange(42, dtype=np.uint8).reshape(6, 7)
    replay.begin(0, frame)
    assert np.array_equal(np.fromfile(tmp_path / "frames", np.uint8)[:42], frame.reshape(-1))


def test_compressed_frames_are_what_they_were(tmp_path):
    """Also by way of a checkpoint's arrays; a slot that is written again gives its memory back."""
    given, random = Hyperparameters(buffer_size=20), np.random.default_rng(0)
    replay = Replay(STACKED, given, is_packed=True)
    frames = [random.integers(0, 3, (6, 7)).astype(np.uint8) for _ in range(25)]
    replay.begin(0, frames[0])
    for frame in frames[1:]:
        replay.add(0, 1, 0.0, frame, False, False)
    other = Replay(STACKED, given, is_packed=True)
    other.restore(replay.position(), replay.saved())
    slots = np.array([5, 19, 0, 5])
    for each in (replay, other):
        assert each.packed is not None and each.total == replay.total
        np.testing.assert_array_equal(each.packed.take(slots), [frames[5], frames[19], frames[20], frames[5]])
        assert each.packed.nbytes < 20 * 41 + 20 * 42
    with pytest.raises(InputError, match="choose one"):
        Replay(STACKED, given, tmp_path / "frames", is_packed=True)
