"""A study's pieces, names of its variants, and the report that is made of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thew.bench.peers import split
from thew.bench.study.pieces import Ablation, Cell, pieces_of, techniques
from thew.bench.study.report import write_report
from thew.bench.study.techniques import label, named
from thew.errors import InputError, UnsupportedError


def test_every_number_of_threads_meets_every_batch() -> None:
    pieces = pieces_of([1, 4], [1, 8], [None])
    assert [piece.name for piece in pieces] == [
        "peers_1t_batch1",
        "peers_4t_batch1",
        "peers_1t_batch8",
        "peers_4t_batch8",
        "techniques_4t_batch1",
    ]
    assert [piece.name for piece in pieces_of([1], [1], [600, 1200])[:2]] == [
        "peers_1t_batch1_600mhz",
        "peers_1t_batch1_1200mhz",
    ]


def test_techniques_are_left_out_one_at_a_time_kept_alone_and_left_out_together() -> None:
    names = techniques()
    assert {"fusion", "fitted_blocking", "layouts", "winograd"} <= set(names)
    contenders = Ablation(2, 1).contenders([])
    assert contenders[0] == "thew"
    assert len(set(contenders)) == len(contenders)
    off = [[name for name, state in split(one)[1].items() if state == "off"] for one in contenders]
    for name in names:
        assert [name] in off
        assert [other for other in names if other != name] in off
    assert names in off
    assert "thew:threads=1" in contenders
    assert not any("threads" in one for one in Ablation(1, 1).contenders([]))
    assert Cell(1, 8).contenders(["a", "b"]) == ["thew", "a", "b"]
    assert Cell(2, 8).contenders(["a"]) == ["thew", "thew:mode=throughput", "a"]


def test_variants_have_words() -> None:
    everything = ":".join(["thew", *(f"{name}=off" for name in techniques())])
    only = ":".join(["thew", *(f"{name}=off" for name in techniques() if name != "winograd")])
    assert label("thew") == "all techniques"
    assert label("thew:winograd=off") == "without Winograd"
    assert label(everything) == "without any technique"
    assert label(only) == "only Winograd"
    assert label("thew:threads=1") == "1 thread"
    assert label("thew:precision=fp16") == "fp16"
    assert named("thew:mode=throughput") == "thew throughput"
    assert named("ncnn") == "ncnn"


def test_a_contender_is_a_peer_and_options() -> None:
    assert split("thew:winograd=off:threads=1") == ("thew", {"winograd": "off", "threads": "1"})
    with pytest.raises(InputError, match="without a value"):
        split("thew:winograd")


def contender(name: str, seconds: float, joules: float | None = None) -> dict[str, Any]:
    energy = {"energy": {"joules_per_call_above_idle": joules}} if joules is not None else {}
    return {
        "name": name,
        "rounds_seconds": [seconds, seconds],
        "minimum_seconds": 0.9 * seconds,
        "percentiles_seconds": {"p50": seconds, "p90": 2 * seconds, "p99": 3 * seconds},
        "timed_calls": 20,
        "ratio_to_first": seconds / 0.1,
        "difference_from_first": 1e-7,
        "peak_rss_bytes": 100_000_000,
        "versions": {name: "1.0"},
        "settings": {},
        **energy,
    }


def report(path: Path, piece: dict[str, Any], contenders: list[dict[str, Any]], energy: dict[str, str]) -> Path:
    machine = {
        "cpu": "A CPU",
        "architecture": "aarch64",
        "kernel": "6.1",
        "isas": ["neon"],
        "caches": {"l1_bytes": 65536, "l2_bytes": 524288},
        "cpus_allowed": [0, 1],
        "governor": None,
        "peak_flops_one_core": {"fp32": 40e9, "fp64": 20e9},
    }
    result = {
        "flops": 2_000_000_000,
        "energy": energy,
        "contenders": contenders,
        "absent": {"armnn": "peer 'armnn': not here"},
        "peak_flops": [40e9, 40e9],
    }
    about = {"when": "2026-01-01", "commit": "abc", "command": "thew bench study x", "versions": {"python": "3.11"}}
    path.write_text(json.dumps({**about, "machine": machine, "piece": piece, "results": [result]}))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for threads, scale in ((1, 1.0), (2, 0.5)):
        piece = {"kind": "peers", "threads": threads, "batch": 4, "mhz": None}
        both = [contender("thew", 0.1 * scale, 2.0), contender("ort", 0.2 * scale)]
        found.append(report(tmp_path / f"{threads}.json", piece, both, {"source": "rapl"}))
    off = ":".join(f"{name}=off" for name in techniques())
    piece = {"kind": "techniques", "threads": 2, "batch": 1, "mhz": None}
    variants = [contender("thew", 0.1), contender("thew:fusion=off", 0.15), contender(f"thew:{off}", 0.3)]
    found.append(report(tmp_path / "techniques.json", piece, variants, {"absent": "energy: none"}))
    return found


def test_the_report_says_rates_ratios_and_what_was_left_out(files: list[Path], tmp_path: Path) -> None:
    text = write_report("net", [*files, tmp_path / "missing.json"], tmp_path, plots=False).read_text()
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert "### 2 threads, batch 4" in text
    # 4 images in 0.05 s; 2 GFLOP in 0.05 s are all of a peak of 40 GFLOP/s; 2 J for 4 images
    assert "| thew | 80.00 | 45.0 | 50.0 | 100.0 | 150.0 | 20 | 0.50 | 100 | 100 | 0.5 |" in text
    assert lines["ort"].endswith("| 2.00 |")  # twice the throughput with two threads
    assert lines["without fusion in the kernel's writer"].startswith(
        "| without fusion in the kernel's writer | 135.0 | 150.0 | 1.50 | 2.00 |"
    )
    assert "- peer 'armnn': not here" in text
    assert "thew bench study x" in text


def test_plots_are_drawn_where_there_are_data(files: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = write_report("net", files, tmp_path).read_text()
    for name in ("throughput", "latency", "energy", "techniques"):
        assert f"]({name}.svg)" in text
        assert (tmp_path / f"{name}.svg").read_text().lstrip().startswith("<?xml")
    first = (tmp_path / "latency.svg").read_bytes()
    write_report("net", files, tmp_path)
    assert (tmp_path / "latency.svg").read_bytes() == first


def test_plots_without_matplotlib_name_the_extra(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(UnsupportedError, match=r"thew\[plots\]"):
        write_report("net", files, tmp_path)


def test_study_of_searches_is_pieces_that_are_kept_and_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import thew
    from thew.bench.study import SearchedNetwork, SearchStudy, write_search_report
    from thew.bench.study.searches import PARTS

    model = tmp_path / "small.onnx"
    layers = [thew.nn.Conv2d(3, 4, 3), thew.nn.ReLU(), thew.nn.Flatten(), thew.nn.Linear(144, 3)]
    thew.export_onnx(thew.nn.Sequential(*layers), model, input_shape=(1, 3, 8, 8))
    x = np.random.default_rng(0).standard_normal((20, 3, 8, 8)).astype(np.float32)
    monkeypatch.setenv("THEW_CACHE", str(tmp_path))
    study = SearchStudy(tmp_path / "study", episodes=4, seeds=2, agents=("random", "exact"))
    network = SearchedNetwork("small", str(model), (x, np.zeros(20, np.int64)))
    seen: list[str] = []
    for part in PARTS:
        study.run(network, part, seen.append)
    count = len(seen)
    study.run(network, "agents", seen.append)
    assert len(seen) == count  # what is there is kept
    text = write_search_report(tmp_path / "study", ["small"], plots=False).read_text()
    held = json.loads(study.path("small", "agents").read_text())
    assert held["agents"]["exact"]["regrets"] == [0.0, 0.0] and len(held["agents"]["random"]["regrets_short"]) == 2
    assert str(tmp_path) not in held["command"]
    assert "| small |" in text and "| exact | 0.00 % (0.00 to 0.00) |" in text
