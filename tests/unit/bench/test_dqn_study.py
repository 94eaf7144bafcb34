"""The pieces of the study of DQN, and its report of files made here."""

from __future__ import annotations

import json

import pytest

from thew.bench.study import dqn_pieces, write_dqn_report


def test_pieces_and_contenders():
    pieces = dqn_pieces([1, 2], [32])
    assert [piece.name for piece in pieces] == [
        "step_1t_batch32", "step_2t_batch32", "act_1t_batch1", "act_2t_batch1", "environment_1t_batch32",
        "environment_2t_batch32",
    ]  # fmt: skip
    assert pieces[0].contenders(["torch"])[1:] == [
        "thew:precision=mixed-fp16", "thew:precision=mixed-bf16", "thew:precision=mixed-fp64-fp16", "torch",
    ]  # fmt: skip
    assert pieces[2].contenders(["torch"]) == ["thew", "torch"]


def test_the_report_has_a_line_a_contender(tmp_path):
    contenders = [
        {"name": name, "median_seconds": seconds, "minimum_seconds": seconds, "ratio_to_first": seconds / 0.02}
        for name, seconds in (("thew", 0.02), ("torch", 0.05))
    ]
    machine = {"cpu": "a CPU", "cpus_allowed": [0], "isas": ["avx2"]}
    report = {
        "machine": machine,
        "piece": {"threads": 1, "batch": 32},
        "results": [{"task": {"work": "step"}, "contenders": contenders}],
    }
    (tmp_path / "step.json").write_text(json.dumps(report))
    path = write_dqn_report([tmp_path / "step.json", tmp_path / "absent.json"], tmp_path, plots=False)
    assert "| gradient step | 1 | 32 | torch | 50 | 50 | 2.50 |" in path.read_text()


def test_runs_beside_the_pieces_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "game.csv").write_text("global_step,charts/episodic_return,eval/episodic_return\n10,1.5,\n20,2.5,3\n")
    path = write_dqn_report([], tmp_path)
    assert "![Returns of a run: game](game.svg)" in path.read_text() and (tmp_path / "game.svg").stat().st_size > 1000
