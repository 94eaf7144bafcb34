"""The pieces of the study of training, and its report of files made here."""

from __future__ import annotations

import json

import pytest

from thew.bench.study import training_pieces, write_training_report
from thew.bench.study.training import TECHNIQUES, titled, variants


def test_pieces_and_contenders():
    pieces = training_pieces([1, 2], [1, 64])
    assert [piece.name for piece in pieces if piece.model == "vgg11"] == [
        "vgg11_step_1t_batch1", "vgg11_step_2t_batch1", "vgg11_step_1t_batch64", "vgg11_step_2t_batch64",
        "vgg11_techniques_1t_batch64",
    ]  # fmt: skip
    assert pieces[0].contenders(["torch"]) == ["thew", "torch"]
    assert pieces[-1].contenders(["torch"]) == variants()


def test_every_variant_has_a_title_of_its_own():
    titles = list(map(titled, variants()))
    assert len(set(titles)) == len(titles) and titles[0] == "all"
    assert {"without any", "mixed-bf16", *(f"only {title}" for title in TECHNIQUES.values())} <= set(titles)


@pytest.mark.parametrize("plots", [False, True])
def test_the_report_has_a_line_a_contender(tmp_path, plots):
    if plots:
        pytest.importorskip("matplotlib")
    for what, names in (("step", ("thew", "torch")), ("techniques", ("thew", "thew:fusion=off"))):
        contenders = [
            {
                "name": name, "median_seconds": seconds, "minimum_seconds": seconds / 2, "peak_rss_bytes": 3e8,
                "ratio_to_first": seconds / 0.002,
            }
            for name, seconds in zip(names, (0.002, 0.01), strict=True)
        ]  # fmt: skip
        report = {
            "machine": {"cpu": "a CPU", "cpus_allowed": [0], "isas": ["avx2"]},
            "piece": {"threads": 1, "batch": 64},
            "results": [{"title": f"training, lenet5_{what}_1t_batch64", "contenders": contenders, "absent": {}}],
        }
        (tmp_path / f"{what}.json").write_text(json.dumps(report))
    trained = {"data": "mnist", "epochs": 1, "variants": {"thew:fusion=off": {"accuracy": 0.98}}}
    (tmp_path / "accuracy.json").write_text(json.dumps(trained))
    paths = [tmp_path / f"{what}.json" for what in ("step", "techniques", "absent")]
    text = write_training_report(paths, tmp_path, plots).read_text()
    assert "| lenet5 | 64 | 1 | torch | 10 | 5 | 5.00 | 300 |" in text
    assert "| lenet5 | without fusion | 10 | 5 | 5.00 | 300 | 0.9800 |" in text
    assert (tmp_path / "speed.svg").exists() == plots
