"""``thew train`` end to end on a data set made here, and the examples."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

import thew
from thew.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def digits(tmp_path, monkeypatch):
    """Bars at places that tell the class, in the form of MNIST."""
    random = np.random.default_rng(0)
    y = random.integers(0, 10, 240)
    x = random.integers(0, 60, (240, 28, 28)).astype(np.uint8)
    for picture, label in zip(x, y, strict=True):
        picture[2 * label + 3 : 2 * label + 7] = 255
    monkeypatch.setenv("THEW_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:80], y_test=y[:80])
    return tmp_path


def train(capsys, *arguments):
    status = main(["train", "lenet5", "--json", "--batch-size", "16", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_it_learns_saves_resumes_and_exports(capsys, digits):
    saved, exported = digits / "a.ckpt", digits / "a.onnx"
    status, out, _ = train(capsys, "--epochs", 2, "--checkpoint", saved)
    assert status == 0 and len(json.loads(out)["history"]["loss"]) == 2
    status, out, _ = train(capsys, "--epochs", 2, "--checkpoint", saved, "--resume", "--export", exported)
    history = json.loads(out)["history"]
    assert status == 0 and history["epoch"] == [1, 2, 3, 4]
    assert history["val_accuracy"][-1] > 0.5
    _, test = thew.data.load("mnist")
    x, y = test.take(np.arange(80), 0)
    (scores,) = thew.InferenceSession(str(exported)).run(None, {"input": x})
    assert np.mean(scores.argmax(1) == y) == pytest.approx(history["val_accuracy"][-1])


def test_options_reach_training(capsys, digits):
    how = ("--optimizer", "adamw", "--lr", 0.002, "--schedule", "one-cycle", "--augment", "--cutout", 4)
    how = (*how, "--label-smoothing", 0.1, "--memory-budget", 64)
    status, out, _ = train(capsys, "--epochs", 1, "--samples", 64, "--precision", "mixed-fp16", *how)
    found = json.loads(out)
    assert status == 0 and found["scaling"]["scale"] > 0 and found["precision"] == "mixed-fp16"
    status, _, err = train(capsys, "--epochs", 1, "--memory-budget", 0.1)
    assert status == 1 and "memory_budget_bytes must be at least" in err
    status, out, _ = train(capsys, "--epochs", 9, "--target", 0.01)
    assert status == 0 and "val_accuracy" in json.loads(out)["stopped"]


def test_wrong_data_is_one_line(capsys, digits):
    status, _, error = train(capsys, "--data", "nothing")
    assert status == 1 and error.count("\n") == 1 and "mnist" in error


def test_the_mnist_example(digits, capsys):
    runpy.run_path(str(EXAMPLES / "mnist.py"), run_name="__main__")
    assert "seen" in capsys.readouterr().out
