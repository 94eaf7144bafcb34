"""The study of returns: runs that end, go on and are left alone, PyTorch's reference, and a report."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import thew
from thew.bench.study import ReturnsStudy, agent_runs, write_dqn_report
from thew.bench.study.returns import AgentRun
from thew.rl.logs import Log

pytest.importorskip("gymnasium")

RUN = AgentRun("mixed-fp16", 3, 1, "CartPole-v1", steps=1200, every=400, games=2)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr("thew.bench.study.returns.LAST_GAMES", 3)


def test_runs_take_one_seed_of_all_before_the_next():
    names = [run.name for run in agent_runs(["fp32", "torch"], 2, 1)]
    assert names == [f"minatar_breakout-v1_{c}_seed{seed}" for seed in (1, 2) for c in ("fp32", "torch")]


def test_one_that_was_cut_short_goes_on_to_the_bit(tmp_path, monkeypatch):
    whole = ReturnsStudy(tmp_path / "whole")
    assert whole.run(RUN) and [path.name for path in whole.folder.iterdir()] == [f"{RUN.name}.json"]
    found = json.loads(whole.path(RUN).read_text())
    assert found["steps"] == [400, 800, 1200] and len(found["last"]) == 3 and found["run"]["contender"] == "mixed-fp16"

    learn = thew.rl.DQN.learn

    def cut(agent, total, logs, **given):
        class Stop(Log):
            def write(self, row):
                if row["global_step"] == 800:
                    agent.stop("tested")

        return learn(agent, total, [*logs, Stop()], **given)

    study = ReturnsStudy(tmp_path / "cut")
    with monkeypatch.context() as patched:
        patched.setattr(thew.rl.DQN, "learn", cut)
        assert not study.run(RUN)
    assert study.run(RUN)
    again = json.loads(study.path(RUN).read_text())
    assert (again["returns"], again["last"]) == (found["returns"], found["last"])
    monkeypatch.setattr(thew.rl.DQN, "learn", lambda *given, **named: pytest.fail("ran once more"))
    assert study.run(RUN)


def test_the_reference_learns_a_small_game():
    pytest.importorskip("torch")
    pytest.importorskip("minatar.gym")
    from thew.bench.peers.dqn_torch_learning import Agent

    agent = Agent("MinAtar/Breakout-v1", 1, 2, 300)
    agent.hyperparameters = dataclasses.replace(agent.hyperparameters, learning_starts=100)
    before = [tensor.detach().clone() for tensor in agent.online.parameters()]
    assert list(agent.learn()) == list(range(1, 301))
    assert all(
        not np.array_equal(old, new.detach()) for old, new in zip(before, agent.online.parameters(), strict=True)
    )
    assert agent.evaluate(2).shape == (2,)
    # Stored returns: γ³ after three steps, fewer before an end, 0 behind one.
    discounts = agent.discounts[: agent.stored, None]
    exponents = np.isclose(discounts, [0.0, 0.99, 0.99**2, 0.99**3], rtol=1e-6)
    assert exponents.any(1).all() and exponents[:, 3].any()


def test_the_reference_shares_frames_of_stacks():
    pytest.importorskip("torch")
    pytest.importorskip("ale_py")
    from thew.bench.peers.dqn_torch_learning import Agent

    agent = Agent("ALE/Breakout-v5", 1, 2, 60, {"learning_starts": 56, "n_step": 3, "double": True})
    assert list(agent.learn()) == list(range(1, 61))
    kept, followed = agent.before[: agent.stored], agent.after[: agent.stored]
    assert all(len(seen) == 4 and seen[0].shape == (84, 84) for seen in kept)
    held = {id(frame) for seen in [*kept, *followed] for frame in seen}
    assert len(held) <= 60 + 1 + sum(agent.discounts[: agent.stored] == 0)  # one a step, and one a game
    following = [at for at in range(agent.stored - 3) if agent.discounts[at] > 0.97]
    assert following and all(followed[at][-1] is kept[at + 3][-1] for at in following)


@pytest.mark.parametrize("plots", [False, True])
def test_the_report_has_a_line_a_contender(tmp_path, plots):
    if plots:
        pytest.importorskip("matplotlib")
    folder = tmp_path / "returns"
    folder.mkdir()
    for run in agent_runs(["fp32", "torch"], 2, 1):
        found = {"run": dataclasses.asdict(run), "steps": [10, 20], "returns": [1.0, 2.0], "last": [run.seed, 4.0]}
        (folder / f"{run.name}.json").write_text(json.dumps(found))
    (folder / "minatar_breakout-v1_mixed-fp16_seed1.csv").write_text(
        "global_step,eval/episodic_return\n5.0,\n10.0,5.5\n"
    )
    text = write_dqn_report([], tmp_path, plots).read_text()
    assert "| torch | 2 | 2.50, 3.00 | 2.75 | 4 |" in text
    assert "evaluations from 10 to 10 steps, which mixed-fp16, seed 1" in text
    assert "- mixed-fp16, seed 1: 5.50\n" in text and "- torch, seed 2: 1.00\n" in text
    assert (folder / "minatar_breakout-v1.svg").exists() == plots
