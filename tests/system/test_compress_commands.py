"""``thew quantize`` and ``thew prune`` from the command line: files, JSON, tables, failures in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew.cli.app import execute
from thew.ir import GraphBuilder

RNG = np.random.default_rng(0)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small classifier, and samples with the classes that it gives."""
    monkeypatch.setenv("THEW_CACHE", str(tmp_path / "cache"))
    builder = GraphBuilder("classifier")

    def constant(*shape: int) -> str:
        return builder.constant((RNG.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32))

    x = builder.input("x", "fp32", ("n", 3, 8, 8))
    y = builder.node("relu", [builder.node("conv", [x, constant(16, 3, 3, 3), constant(16)], pads=(1, 1, 1, 1))])
    y = builder.node("relu", [builder.node("conv", [y, constant(32, 16, 3, 3)], strides=(2, 2))])
    flat = builder.node("flatten", [builder.node("global_average_pool", [y])])
    graph = builder.graph([builder.node("gemm", [flat, constant(32, 5), constant(5)])])
    thew.export_onnx(graph, tmp_path / "model.onnx")
    samples = RNG.standard_normal((120, 3, 8, 8)).astype(np.float32)
    (answers,) = thew.InferenceSession(graph).run(None, {"x": samples})
    np.savez(tmp_path / "data.npz", x=samples, y=answers.argmax(1))
    return tmp_path


def run(capsys: Any, *arguments: object) -> Any:
    assert execute([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_quantize_writes_a_model_and_says_what_it_is_worth(files: Path, capsys: Any) -> None:
    where = ("quantize", files / "model.onnx", "--data", files / "data.npz", "--calibrate-on", 40)
    found = json.loads(run(capsys, *where, "-o", files / "out.onnx", "--calibration", "mse", "--json"))
    assert found["output"] == str(files / "out.onnx") and found["before"]["accuracy"] == 1.0
    assert found["after"]["samples"] == 80 and found["after"]["accuracy"] >= 0.8
    assert sorted(found["layers"] + found["kept"]) == sorted(key for time in found["times"] for key in time["layers"])
    session = thew.InferenceSession(files / "out.onnx")
    assert session.run(None, {"x": np.zeros((2, 3, 8, 8), np.float32)})[0].shape == (2, 5)
    text = run(capsys, *where, "--no-never-slower", "--max-accuracy-drop", 0.5)
    assert "accuracy" in text and "3 layers on integers" in text and (files / "model_int8.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--calibration", "median"], "must be one of minmax"),
        (["--calibrate-on", "120"], "must hold more samples"),
        (["--keep", "nothing"], "must be names of layers"),
        (["--max-accuracy-drop", "2"], "must be from 0 to 1"),
    ],
)
def test_failures_are_one_line(files: Path, capsys: Any, arguments: list[str], rule: str) -> None:
    assert execute(["quantize", str(files / "model.onnx"), "--data", str(files / "data.npz"), *arguments]) == 1
    message = capsys.readouterr().err.strip()
    assert rule in message and message.count("\n") == 0
    assert not list(files.glob("*_int8.onnx"))


def test_prune_writes_a_smaller_model(files: Path, capsys: Any) -> None:
    where = ("prune", files / "model.onnx", "--data", files / "data.npz", "--ratio", 0.5)
    found = json.loads(run(capsys, *where, "--finetune-epochs", 1, "-o", files / "out.onnx", "--json"))
    assert sorted(found["groups"].values()) == [[16, 8], [32, 16]]
    assert found["after"]["weight_bytes"] < 0.5 * found["before"]["weight_bytes"] and found["after"]["samples"] == 24
    session = thew.InferenceSession(files / "out.onnx")
    assert session.run(None, {"x": np.zeros((2, 3, 8, 8), np.float32)})[0].shape == (2, 5)
    text = run(capsys, "prune", files / "model.onnx", "--structure", "2:4")
    assert "where that is faster" in text and (files / "model_pruned.onnx").exists()


def test_failures_of_prune_are_one_line(files: Path, capsys: Any) -> None:
    assert execute(["prune", str(files / "model.onnx"), "--ratio", "1"]) == 1
    assert "must be from 0 to below 1" in capsys.readouterr().err


def test_bench_compares_accuracy_and_time(files: Path, capsys: Any) -> None:
    where = ("bench", "quantization", files / "model.onnx", "--data", files / "data.npz", "--calibrate-on", 40)
    found = json.loads(run(capsys, *where, "--rounds", 2, "--out", files / "out.json", "--json"))
    assert found == json.loads((files / "out.json").read_text())
    names = [result["name"] for result in found["results"]]
    assert names[:2] == ["thew fp32", "thew int8"] and found["results"][0]["speed_over_first"] == 1
    assert all(result["samples"] == 80 and result["median_seconds"] > 0 for result in found["results"])
    assert found["results"][0]["accuracy"] == 1 and (len(names) == 4 or found["absent"])


def test_quantize_weights_alone_takes_no_data(files: Path, capsys: Any) -> None:
    run(capsys, "quantize", files / "model.onnx", "--weights-only", "-o", files / "weights.onnx")
    session = thew.InferenceSession(files / "weights.onnx")
    assert session.run(None, {"x": np.zeros((2, 3, 8, 8), np.float32)})[0].shape == (2, 5)
    assert execute(["quantize", str(files / "model.onnx")]) == 1
    assert "data: must be given" in capsys.readouterr().err
