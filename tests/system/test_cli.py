"""The command line end to end: results, JSON, exit status, one line a failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thew
from thew.cli import main
from thew.ops.interpret import evaluate
from thew.runtime.device import target

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "lenet5.onnx"
    thew.export_onnx(thew.models.lenet5(seed=0), path, input_shape=("n", 1, 28, 28))
    return path


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def run_json(capsys, *arguments):
    status, out, _ = run(capsys, *arguments, "--json")
    assert status == 0
    return json.loads(out)


def test_run_on_arrays_gives_what_numpy_gives(capsys, lenet, tmp_path):
    x = np.random.default_rng(0).standard_normal((3, 1, 28, 28)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    found = run_json(capsys, "run", lenet, "--input", tmp_path / "x.npy", "--top", 2, "--output", tmp_path / "y.npz")
    expected = evaluate(thew.models.lenet5(seed=0).graph(x.shape, dtype="fp64"), {"input": x.astype(np.float64)})[
        "output"
    ]
    # Sums of at most 400 products: fp32 rounding stays far below 400 ε of values of order 1.
    bound = 400 * np.finfo(np.float32).eps
    assert np.abs(np.load(tmp_path / "y.npz")["output0"] - expected).max() <= bound
    assert [row["classes"][0]["class"] for row in found["results"]] == list(expected.argmax(1))
    assert all(len(row["classes"]) == 2 for row in found["results"])


def test_run_on_pictures_preprocesses_and_names(capsys, lenet, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "names.txt").write_text("\n".join(f"digit {i}" for i in range(10)))
    arguments = [
        "--labels",
        tmp_path / "names.txt",
        "--preprocess",
        "unit",
        "--mean",
        "0.5",
        "--std",
        "0.25",
        "--top",
        10,
    ]
    found = run_json(capsys, "run", lenet, "--input", tmp_path / "a.png", *arguments)
    x = ((pixels / 255 - 0.5) / 0.25)[None, None]
    expected = evaluate(thew.models.lenet5(seed=0).graph(x.shape, dtype="fp64"), {"input": x})["output"][0]
    classes = found["results"][0]["classes"]
    assert [entry["class"] for entry in classes] == list(np.argsort(-expected, kind="stable"))
    assert classes[0]["name"] == f"digit {expected.argmax()}"
    np.testing.assert_allclose([entry["score"] for entry in classes], np.sort(expected)[::-1], atol=1e-4)


def test_run_takes_folders_in_batches_of_a_fixed_size(capsys, tmp_path):
    thew.export_onnx(thew.models.lenet5(seed=0), tmp_path / "two.onnx", input_shape=(2, 1, 28, 28))
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    whole = run_json(capsys, "run", tmp_path / "two.onnx", "--input", tmp_path, "--preprocess", "none")["results"]
    single = [
        run_json(capsys, "run", tmp_path / "two.onnx", "--input", tmp_path / f"{index}.png", "--preprocess", "none")[
            "results"
        ][0]
        for index in range(3)
    ]
    assert [row["source"] for row in whole] == [str(tmp_path / f"{index}.png") for index in range(3)]
    assert [row["classes"][0]["class"] for row in whole] == [row["classes"][0]["class"] for row in single]


def test_run_without_input_is_seeded(capsys):
    first, again = (run_json(capsys, "run", "lenet5", "--seed", 3)["results"] for _ in range(2))
    assert first == again
    assert first != run_json(capsys, "run", "lenet5", "--seed", 4)["results"]


def test_explain_lists_the_layers(capsys):
    found = run_json(capsys, "explain", "zoo:lenet5", "--batch", 2)
    rows = {row["layer"]: row for row in found["rows"]}
    assert rows["conv1"]["op"] == "conv"
    assert rows["conv1"]["shape"] == [2, 6, 28, 28]
    assert found["peak_memory_bytes"] > 61_706 * 4  # the weights at least
    status, out, _ = run(capsys, "explain", "lenet5")
    assert status == 0
    assert "conv1" in out


def test_explain_saves_a_plan_that_run_follows(capsys, lenet, tmp_path):
    assert run(capsys, "explain", lenet, "--save-plan", tmp_path / "plan.json")[0] == 0
    x = np.zeros((1, 1, 28, 28), np.float32)
    np.save(tmp_path / "x.npy", x)
    with_plan = run_json(capsys, "run", lenet, "-i", tmp_path / "x.npy", "--plan", tmp_path / "plan.json")
    assert with_plan["results"] == run_json(capsys, "run", lenet, "-i", tmp_path / "x.npy")["results"]


def test_explain_lists_the_alternatives(capsys, lenet):
    found = run_json(capsys, "explain", lenet, "--alternatives")
    assert found
    for ways in found.values():
        assert [way["seconds"] for way in ways] == sorted(way["seconds"] for way in ways)
        assert sum(way["chosen"] for way in ways) == 1
    assert len({way["algorithm"] for ways in found.values() for way in ways}) > 3


def test_techniques_are_left_out(capsys, lenet):
    kernels = {
        name: [row["op"] for row in run_json(capsys, "explain", lenet, *options)["rows"]]
        for name, options in (("all", ()), ("unfused", ("--without", "fusion")))
    }
    assert "relu" in kernels["unfused"]
    assert "relu" not in kernels["all"]


def test_calibration_is_kept_for_later_plans(capsys, lenet, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    target.cache_clear()
    found = run_json(capsys, "calibrate")
    assert Path(found["path"]).is_relative_to(tmp_path)
    assert {"conv.implicit", "matmul.packed"} <= {key.split("/")[0] for key in found["efficiencies"]}
    assert all(value > 0 for value in found["efficiencies"].values())
    assert target(1).costs.name == "calibrated"
    run(capsys, "run", lenet)
    monkeypatch.undo()
    target.cache_clear()


def test_doctor_and_kernels_tell_of_this_machine(capsys):
    report = run_json(capsys, "doctor")
    assert report["thew"] == thew.__version__
    assert report["isas"]
    assert set(report["thread_mask"]) == os.sched_getaffinity(0)
    table = run_json(capsys, "kernels")
    names = {row["name"] for row in table if row["supported"]}
    assert {row["kernel"] for row in report["kernels"]} <= names
    assert all(row["isa"] in report["isas"] for row in table if row["supported"])
    lowest = report["isas"][-1]
    only = run_json(capsys, "kernels", "--family", "conv", "--isa", lowest)
    assert only
    assert {(row["family"], row["isa"]) for row in only} == {("conv", lowest)}
    for command in ("doctor", "kernels"):
        status, out, _ = run(capsys, command)
        assert status == 0
        assert (
            next(row["kernel"] for row in report["kernels"] if (row["family"], row["dtype"]) == ("conv", "fp32")) in out
        )


def test_quickstart_in_small(capsys, monkeypatch):
    from thew.cli import quickstart

    monkeypatch.setattr(quickstart, "NETWORKS", (("lenet5", 28, (1, 3)), ("mobilenet_v2", 64, (1, 2))))
    monkeypatch.setattr(quickstart, "CHECKED", {"lenet5": 3, "mobilenet_v2": 1})
    monkeypatch.setattr(quickstart, "SECONDS", 0.0)
    rows = run_json(capsys, "quickstart", "--threads", 2)
    lines = [("lenet5", 1), ("lenet5", 3), ("mobilenet_v2", 1), ("mobilenet_v2", 2)]
    assert sorted((row["network"], row["batch"], row["threads"]) for row in rows) == sorted(
        [*((*line, threads) for line in lines for threads in (1, 2)), ("lenet5, training", 64, 2)]
    )
    assert all(row["error"] <= quickstart.tolerance() for row in rows)
    assert all(row["milliseconds"] > 0 and row["gflops_per_second"] > 0 for row in rows)
    status, out, _ = run(capsys, "quickstart")
    assert status == 0
    assert "difference from NumPy" in out and "told right by the exported LeNet-5" in out and quickstart.FURTHER in out
    monkeypatch.setattr(quickstart, "tolerance", lambda: 0.0)
    status, _, err = run(capsys, "quickstart")
    assert status == 1
    assert "must agree with NumPy" in err


@pytest.mark.slow
def test_quickstart(capsys):
    rows = run_json(capsys, "quickstart")
    assert {row["network"] for row in rows} == {"lenet5", "lenet5, training", "mobilenet_v2", "resnet50"}
    assert all(row["error"] is not None and row["error"] < 1e-3 and row["milliseconds"] > 0 for row in rows)


def test_cores_restrict_the_process(lenet):
    cpu = min(os.sched_getaffinity(0))
    code = (
        "import os, sys; from thew.cli import main; "
        f"status = main(['run', {str(lenet)!r}, '--cores', '{cpu}', '--json']); "
        "print(sorted(os.sched_getaffinity(0)), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr.strip().splitlines()[-1] == f"[{cpu}]"


FAILURES = {
    "a model that is not there": (("run", "nothing.onnx"), 1, "must be an ONNX file or one of the zoo"),
    "an input that is not there": (("run", "lenet5", "--input", "nothing.npy"), 1, "must be a file or a folder"),
    "an unknown preset": (
        ("run", "lenet5", "--input", "{picture}", "--preprocess", "magic"),
        1,
        "must be auto, imagenet",
    ),
    "numbers that are none": (("run", "lenet5", "-i", "{picture}", "--mean", "a,b"), 1, "must be numbers with commas"),
    "a picture that is none": (("run", "lenet5", "-i", "{text}"), 1, "must be a picture that Pillow reads"),
    "labels that are none": (("run", "lenet5", "--labels", "{json}"), 1, "must map class numbers to names"),
    "cores that are none": (("doctor", "--cores", "x"), 1, "cores: must be"),
    "an unknown option": (("run", "lenet5", "--colour"), 2, "--colour"),
    "a missing argument": (("run",), 2, "model"),
    "an unknown command": (("fly",), 2, "fly"),
    "a value out of range": (("doctor", "--threads", "-1"), 2, "threads"),
    "an unknown precision": (("doctor", "--precision", "fp7"), 2, "fp7"),
    "an unknown peer": (("bench", "model", "lenet5", "--peers", "abacus", "--rounds", "1"), 0, "must be one of"),
    "a precision that peers lack": (("bench", "model", "lenet5", "--precision", "fp64"), 2, "must be fp32"),
    "sizes that are none": (("bench", "matmul", "12x"), 2, "64x512x256"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_are_one_line(capsys, tmp_path, case):
    arguments, wanted, message = FAILURES[case]
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "picture.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "labels.json").write_text('{"a": "b"}')
    places = {"picture": tmp_path / "picture.png", "text": tmp_path / "text.png", "json": tmp_path / "labels.json"}
    status, _, err = run(capsys, *(str(argument).format(**places) for argument in arguments))
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith("preprocessing:")]
    assert status == wanted
    assert message.lower() in err.lower()
    assert "Traceback" not in err
    if wanted:
        assert len(lines) == 1
        assert lines[0].startswith("thew: ")


def test_internal_errors_are_one_line_too(capsys, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(thew.runtime.device, "facts", broken)
    status, _, err = run(capsys, "doctor")
    assert status == 1
    assert err.startswith("thew: internal error: ZeroDivisionError: by zero")
    monkeypatch.setenv("THEW_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_help_version_and_completion(capsys):
    status, out, _ = run(capsys, "--version")
    assert (status, out.strip()) == (0, f"thew {thew.__version__}")
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for command in ("run", "explain", "doctor", "kernels", "quickstart", "bench"):
        assert command in out
        status, text, _ = run(capsys, *([command] if command != "bench" else ["bench", "model"]), "--help")
        assert status == 0
        for option in ("--threads", "--cores", "--precision", "--seed", "--json"):
            assert option in text
    code = "import sys; from thew.cli import main; sys.exit(main(['--show-completion', 'bash']))"
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert "thew" in done.stdout
    assert "complete" in done.stdout


def test_a_closed_pipe_ends_in_silence():
    code = "import sys; from thew.cli import main; sys.exit(main(['kernels']))"
    command = f'{sys.executable} -c "{code}" | head -n 1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert "Traceback" not in done.stderr
