"""The study of learning: runs that end, go on and are left alone, and a report of files made here."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

import thew
from thew.bench.study import LearningStudy, learning, runs_of, write_learning_report
from thew.bench.study.learning import RECIPES, Recipe, Run
from thew.data import Images
from thew.train import Callback


def test_runs_take_one_seed_of_all_before_the_next():
    names = [run.name for run in runs_of(["lenet5_mnist"], ["fp32", "mixed-fp16"], 2, 1)]
    assert names == [f"lenet5_mnist_{p}_seed{seed}" for seed in (0, 1) for p in ("fp32", "mixed-fp16")]


@pytest.fixture
def tiny(monkeypatch):
    """A recipe over few random samples; how often they were read."""
    rng, read = np.random.default_rng(0), []
    samples = Images(rng.integers(0, 256, (128, 1, 28, 28), np.uint8), rng.integers(0, 10, 128))
    monkeypatch.setattr(learning, "RECIPES", {"tiny": Recipe("lenet5", "mnist", 2, 0.01, 0.0, 0.0, augment=False)})
    monkeypatch.setattr(learning, "samples_of", lambda recipe, seed: read.append(seed) or (samples, samples))
    return read


def test_a_run_is_made_once(tmp_path, tiny):
    study, run = LearningStudy(tmp_path), Run("tiny", "fp32", 3, 1)
    assert study.run(run) and study.run(run)
    found = json.loads(study.path(run).read_text())
    assert len(found["history"]["val_accuracy"]) == 2 and found["run"]["seed"] == 3 and tiny == [3]
    assert [path.name for path in tmp_path.iterdir()] == [study.path(run).name]  # no checkpoint is left


def test_one_that_was_cut_short_goes_on(tmp_path, tiny, monkeypatch):
    study, run = LearningStudy(tmp_path), Run("tiny", "fp32", 3, 1)
    study.run(run)
    whole = json.loads(study.path(run).read_text())["history"]["loss"]
    study.path(run).unlink()

    class Cut(Callback):
        def on_epoch_end(self, trainer, row):
            os.kill(os.getpid(), signal.SIGTERM)

    fit = thew.Trainer.fit
    with monkeypatch.context() as patched:
        patched.setattr(thew.Trainer, "fit", lambda *given, **named: fit(*given, [Cut()], **named))
        assert not study.run(run)
    monkeypatch.setattr(learning, "trainer_of", lambda *given: pytest.fail("began anew"))
    assert study.run(run)
    assert json.loads(study.path(run).read_text())["history"]["loss"] == whole


@pytest.mark.parametrize("plots", [False, True])
def test_the_report_has_a_line_a_precision(tmp_path, plots):
    if plots:
        pytest.importorskip("matplotlib")
    for seed, accuracy in enumerate((0.985, 0.991, 0.993)):
        history = {"val_accuracy": [0.9, accuracy], "seconds": [60.0, 60.0]}
        report = {
            "machine": {"cpu": "a CPU", "cpus_allowed": [0], "isas": ["avx2"]},
            "run": {"recipe": "lenet5_mnist", "precision": "mixed-fp16", "seed": seed, "threads": 1},
            "recipe": {"target": RECIPES["lenet5_mnist"].target},
            "history": history,
        }
        (tmp_path / f"{seed}.json").write_text(json.dumps(report))
    text = write_learning_report(tmp_path, plots).read_text()
    row = "| lenet5_mnist | mixed-fp16 | 1 | 3 | 0.9850, 0.9910, 0.9930 | 0.9910 | 99%: 2 of 3, 2 epochs, 2 min |"
    assert row in text
    assert (tmp_path / "lenet5_mnist.svg").exists() == plots
