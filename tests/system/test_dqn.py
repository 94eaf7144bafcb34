"""DQN end to end: it learns, saves, goes on after a kill, and its exported policy acts as it does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew.cli import main
from thew.errors import CheckpointError, InputError

pytest.importorskip("gymnasium")
from thew.rl.logs import Log, Row

QUICK: dict[str, Any] = {"learning_starts": 500, "batch_size": 64, "buffer_size": 8000}


def test_it_learns_to_balance_a_pole():
    """A random policy's mean is about 22; after 8,000 steps of any seed it is several times that."""
    agent = thew.rl.DQN("CartPole-v1", seed=2, **QUICK)
    rows = agent.learn(8000, log_every=2000)
    assert [row["global_step"] for row in rows] == [2000, 4000, 6000, 8000]
    assert rows[-1]["losses/q_values"] > 10
    assert agent.evaluate(20).mean() > 80


@pytest.mark.parametrize("changes", [{}, {"prioritized": True, "n_step": 3, "dueling": True, "num_envs": 3}])
def test_a_run_is_a_function_of_its_seed_whatever_steps_the_environments(changes):
    found = []
    for actors in (0, 0, 2):
        agent = thew.rl.DQN("CartPole-v1", seed=3, actors=actors, **{**QUICK, "batch_size": 8, **changes})
        rows = agent.learn(900, log_every=300)
        found.append([row.get("losses/td_loss", 0.0) for row in rows])
    assert found[0][-1] > 0 and found[0] == found[1] == found[2]


def test_the_exported_policy_acts_as_the_agent(tmp_path):
    """In a session of Thew's, and in ONNX Runtime where that is installed."""
    agent = thew.rl.DQN("CartPole-v1", seed=1, **QUICK)
    agent.learn(700)
    agent.export_onnx(tmp_path / "policy.onnx")
    seen = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    session = thew.InferenceSession(tmp_path / "policy.onnx")
    (values,) = session.run(None, {session.get_inputs()[0].name: seen})
    assert values.shape == (50, 2)
    np.testing.assert_array_equal(values.argmax(1), agent.act(seen))
    onnxruntime = pytest.importorskip("onnxruntime")
    (others,) = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx")).run(None, {"input": seen})
    np.testing.assert_allclose(others, values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(others.argmax(1), values.argmax(1))


def test_a_checkpoint_goes_on(tmp_path):
    agent = thew.rl.DQN("CartPole-v1", seed=4, **QUICK)
    agent.learn(900)
    agent.save(tmp_path / "a.ckpt", replay=True)
    other = thew.rl.DQN.load(tmp_path / "a.ckpt")
    assert other.counters.steps == 900 and other.replay.total == agent.replay.total
    seen = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    np.testing.assert_array_equal(other.act(seen), agent.act(seen))
    draws = np.random.default_rng(1).random(64)
    for one, two in zip(agent.learner.step(draws, 0.4), other.learner.step(draws, 0.4), strict=True):
        np.testing.assert_array_equal(one, two)
    updates = other.counters.updates
    other.learn(1000)
    assert other.counters.steps == 1000 and other.counters.updates == updates + 50
    text = (tmp_path / "a.ckpt").read_bytes()
    (tmp_path / "b.ckpt").write_bytes(text[:-100])
    with pytest.raises(CheckpointError):
        thew.rl.DQN.load(tmp_path / "b.ckpt")
    with pytest.raises(CheckpointError, match=r"use thew\.rl\.DQN\.load"):
        thew.Trainer.resume(tmp_path / "a.ckpt")


def test_the_best_network_is_kept(tmp_path, monkeypatch):
    """Also by a run that was stopped behind it; evaluations are 20, of which the seventh is best."""
    agent = thew.rl.DQN("CartPole-v1", seed=4, **QUICK)
    judged, seen = [], []

    def evaluate(self):
        seen.append([array.copy() for array in self.network.parameters()])
        judged.append(len(seen) == 7)
        return np.array([float(judged[-1])])

    monkeypatch.setattr(thew.rl.DQN, "evaluate", evaluate)
    agent.learn(2000, [_Stop(agent, 1600)], log_every=100, checkpoint=tmp_path / "a.ckpt")
    resumed = thew.rl.DQN.load(tmp_path / "a.ckpt")
    resumed.learn(2000)
    assert resumed.counters.best == 1.0 and len(seen) == 20
    assert any(not np.array_equal(one, other) for one, other in zip(seen[6], seen[-1], strict=True))
    for kept, found in zip(seen[6], resumed.network.parameters(), strict=True):
        np.testing.assert_array_equal(kept, found)


class _Stop(Log):
    """Ends a run at a row, as a signal would."""

    def __init__(self, agent: thew.rl.DQN, step: float) -> None:
        self._agent, self._step = agent, step

    def write(self, row: Row) -> None:
        if row["global_step"] == self._step:
            self._agent.stop("tested")


@pytest.mark.parametrize(
    ("env_id", "changes", "total"),
    [
        ("CartPole-v1", {"num_envs": 2, "n_step": 3, "prioritized": True, "batch_size": 8}, 600),
        ("ALE/Breakout-v5", {"buffer_size": 200, "learning_starts": 60, "batch_size": 4, "n_step": 3}, 100),
    ],
)
def test_a_run_that_was_stopped_goes_on_to_the_bit(env_id, changes, total, tmp_path):
    """Rows, weights and what the environments show are those of a run without a stop; half way, games are under way."""
    if env_id.startswith("ALE"):
        pytest.importorskip("ale_py")
    given = {"learning_starts": 100, "buffer_size": 400, **changes}
    whole = thew.rl.DQN(env_id, seed=5, **given)
    rows = whole.learn(total, log_every=total // 10)
    begun = thew.rl.DQN(env_id, seed=5, **given)
    half = begun.learn(
        total, [_Stop(begun, total // 2)], log_every=total // 10, checkpoint=tmp_path / "a.ckpt", checkpoint_replay=True
    )
    resumed = thew.rl.DQN.load(tmp_path / "a.ckpt")
    assert resumed.counters.steps == total // 2
    half += resumed.learn(total, log_every=total // 10)
    for one, other in zip(rows, half, strict=True):
        for name in ("global_step", "charts/episodic_return", "losses/td_loss", "losses/q_values"):
            assert one.get(name) == other.get(name), name
    assert "losses/td_loss" in rows[-1]
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.stacks, resumed.stacks)


def test_killed_at_any_moment_it_resumes(tmp_path):
    """What it has written stays, each row once."""
    saved, rows = tmp_path / "run.ckpt", tmp_path / "rows.csv"
    command = [sys.executable, "-m", "thew", "dqn", "train", "CartPole-v1", "--checkpoint", saved, "--resume",
               "--checkpoint-every", "50", "--checkpoint-replay", "--learning-starts", "100", "--batch-size", "8",
               "--buffer-size", "500", "--csv", rows, "--log-every", "20"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([*map(str, command), "--total-timesteps", "100000000"], env=environment)
    deadline = time.monotonic() + 60
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = thew.rl.DQN.load(saved).counters.steps
    assert steps >= 50
    assert main([*map(str, command[3:]), "--total-timesteps", str(steps + 150)]) == 0
    assert thew.rl.DQN.load(saved).counters.steps == steps + 150
    found = [int(float(row.partition(",")[0])) for row in rows.read_text().splitlines()[1:]]
    assert found == list(range(20, steps + 151, 20))


def test_actors_on_ranks_are_those_of_one_process(tmp_path):
    """The learner and two ranks with an environment each: the losses of one process with both."""
    pytest.importorskip("mpi4py")
    launcher = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if launcher is None:
        pytest.skip("mpirun is not there")
    train = ["dqn", "train", "CartPole-v1", "--total-timesteps", "300", "--learning-starts", "100", "--batch-size", "8"]
    train += ["--num-envs", "2", "--buffer-size", "200", "--log-every", "100", "--json"]
    crowded = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_mpi_yield_when_idle": "1"}
    environment = {**os.environ, **crowded, **root, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = []
    for launch in ([], [launcher, "-n", "3"]):
        done = subprocess.run(
            [*launch, sys.executable, "-m", "thew", *train],
            capture_output=True,
            text=True,
            timeout=300,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        found.append([(row["global_step"], row.get("losses/td_loss")) for row in json.loads(done.stdout)["rows"]])
    assert found[0] == found[1] and found[0][-1][1] is not None


def test_the_command_trains_plays_and_exports(capsys, tmp_path):
    saved, rows = tmp_path / "run.ckpt", tmp_path / "rows.csv"
    status = main(
        ["dqn", "train", "CartPole-v1", "--total-timesteps", "600", "--learning-starts", "200", "--batch-size", "16",
         "--replay-memory", "1MB", "--log-every", "200", "--csv", str(rows), "--checkpoint", str(saved), "--seed", "1",
         "--double", "--eval-every", "300", "--eval-episodes", "1", "--json"]
    )  # fmt: skip
    captured = capsys.readouterr()
    assert status == 0, captured.err
    assert "replay of 19230 frames, 976.5 KiB" in captured.err
    found = json.loads(captured.out)["rows"]
    assert [row["global_step"] for row in found] == [200, 300, 400, 600] and "eval/episodic_return" in found[1]
    assert rows.read_text().count("\n") == 5
    assert main(["dqn", "play", str(saved), "--episodes", "3", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["returns"]) == 3
    assert main(["dqn", "export", str(saved), str(tmp_path / "policy.onnx")]) == 0
    assert thew.InferenceSession(tmp_path / "policy.onnx").get_inputs()[0].shape[1:] == [4]


def test_what_is_refused(capsys):
    for changes, match in (
        ({"gama": 0.9}, "hyperparameters are"),
        ({"gamma": 2}, "within"),
        ({"buffer_size": 2}, "buffer_size"),
        ({"loss": "l1"}, "loss must be"),
        ({"replay_memory": 10}, "must hold a slot"),
        ({"replay_memory": "1GB"}, "replay_memory must be a whole number of bytes"),
        ({"buffer_size": "1GB"}, "buffer_size must be of a kind with 1000000, got '1GB'"),
        ({"seed": -1}, "seed a number of at least 0"),
    ):
        with pytest.raises(InputError, match=match):
            thew.rl.DQN("CartPole-v1", **changes)
    with pytest.raises(InputError, match="NoSuch-v0"):
        thew.rl.DQN("NoSuch-v0")
    assert main(["dqn", "train", "CartPole-v1", "--replay-memory", "7 frames"]) == 1
    assert "size: must be" in capsys.readouterr().err


def test_atari_learns_from_frames_stored_once(tmp_path):
    """A few gradient steps on ALE, and the policy from uint8 stacks."""
    pytest.importorskip("ale_py")
    agent = thew.rl.DQN("ALE/Breakout-v5", seed=1, buffer_size=300, learning_starts=60, batch_size=4)
    rows = agent.learn(80, log_every=40)
    assert agent.counters.updates == 6 and np.isfinite(rows[-1]["losses/td_loss"])
    assert agent.observation.shape == (4, 84, 84) and agent.replay.arrays["replay.frames"].dtype == np.uint8
    agent.export_onnx(tmp_path / "policy.onnx")
    seen = np.random.default_rng(0).integers(0, 256, (3, 4, 84, 84)).astype(np.uint8)
    session = thew.InferenceSession(tmp_path / "policy.onnx")
    assert session.get_inputs()[0].type == "tensor(uint8)"
    (values,) = session.run(None, {"input": seen})
    np.testing.assert_array_equal(values.argmax(1), agent.act(seen))
    onnxruntime = pytest.importorskip("onnxruntime")
    (others,) = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx")).run(None, {"input": seen})
    np.testing.assert_allclose(others, values, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(others.argmax(1), values.argmax(1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cart_pole_is_solved(seed):
    agent = thew.rl.DQN("CartPole-v1", seed=seed)
    agent.learn(100_000)
    assert agent.evaluate(100, seed=5_000_000).mean() >= 475  # games that it was not chosen by


@pytest.mark.slow
def test_a_small_game_is_learnt_from_pixels():
    """MinAtar's Breakout: a random policy's mean is about 0.6; after 50,000 steps it is several times that."""
    pytest.importorskip("minatar.gym")
    agent = thew.rl.DQN("MinAtar/Breakout-v1", seed=1)
    assert agent.observation.shape == (4, 10, 10)
    agent.learn(50_000)
    assert agent.evaluate(50).mean() >= 3
