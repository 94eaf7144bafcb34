"""Comparisons end to end, in child processes: Thew against NumPy, which is always there."""

from __future__ import annotations

import json

import pytest

from thew.bench import MatmulTask, Settings, measure
from thew.cli import main
from thew.errors import InputError, UnsupportedError


def test_two_contenders_agree_and_are_counted(tmp_path):
    ticks = []
    task = MatmulTask(1, 0, str(tmp_path), 64, 48, 32)
    measured = measure(task, ["thew", "numpy"], Settings(rounds=3, turn_seconds=0.01), ticks.append)
    thew, numpy = measured.outcomes
    assert (thew.name, numpy.name) == ("thew", "numpy")
    assert thew.ratio == 1.0
    assert numpy.ratio > 0
    assert all(len(outcome.seconds) == 3 and 0 < outcome.minimum <= outcome.median for outcome in (thew, numpy))
    assert numpy.difference <= 32 * 2.0**-23  # sums of 32 products
    assert sorted(ticks) == ["numpy"] * 3 + ["thew"] * 3
    assert ticks[:2] != ticks[2:4]  # the order rotates
    assert numpy.report["versions"]["numpy"]


def test_a_peer_that_cannot_is_left_out(tmp_path):
    task = MatmulTask(1, 0, str(tmp_path), 8, 8, 8)
    measured = measure(task, ["thew", "abacus"], Settings(rounds=1, turn_seconds=0.001))
    assert [outcome.name for outcome in measured.outcomes] == ["thew"]
    assert "must be one of" in measured.absent["abacus"]
    with pytest.raises(UnsupportedError):
        measure(task, ["abacus"], Settings(rounds=1))
    with pytest.raises(InputError, match="at least 1"):
        measure(task, ["thew"], Settings(rounds=0))


def test_the_report_says_what_it_was_taken_on(tmp_path, capsys):
    out = tmp_path / "out.json"
    options = ["--peers", "numpy", "--rounds", "2", "--turn-seconds", "0.01", "--out", str(out)]
    assert main(["bench", "matmul", "32,16x8x24", *options]) == 0
    assert "numpy" in capsys.readouterr().out
    report = json.loads(out.read_text())
    assert [result["title"] for result in report["results"]] == [
        "fp32 matrix product 32 × 32 × 32",
        "fp32 matrix product 16 × 8 × 24",
    ]
    assert report["results"][1]["flops"] == 2 * 16 * 8 * 24
    assert report["machine"]["cpu"] is not None
    assert report["machine"]["peak_flops_one_core"]["fp32"] > 0
    assert {contender["name"] for contender in report["results"][0]["contenders"]} == {"thew", "numpy"}
    assert len(report["results"][0]["contenders"][0]["rounds_seconds"]) == 2


def test_models_and_overhead_run_alone(capsys):
    for arguments in (["model", "lenet5", "--batch", "2"], ["training", "lenet5", "--batch", "2"], ["overhead"]):
        assert main(["bench", *arguments, "--peers", "", "--rounds", "1", "--turn-seconds", "0.001", "--json"]) == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert [contender["name"] for contender in result["contenders"]] == ["thew"]
