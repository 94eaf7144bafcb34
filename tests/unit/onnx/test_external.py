"""External data: read where it may be, refused everywhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import FLOAT, model, value

from thew.errors import ModelError
from thew.onnx import read

DATA = np.arange(8, dtype=np.float32)


def external(location: str, **entries: Any) -> Any:
    weight = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, entry in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(entry))
    return model([helper.make_node("Add", ["x", "w"], ["y"])], [value("x", 4)], [value("y", 4)], [weight])


def save(folder: Path, made: Any) -> Path:
    path = folder / "inside" / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    (path.parent / "weights.bin").write_bytes(DATA.tobytes())
    (folder / "secret.bin").write_bytes(DATA.tobytes())
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize(("entries", "start"), [({}, 0), ({"offset": 8}, 2), ({"offset": 16, "length": 16}, 4)])
def test_data_in_the_folder(tmp_path: Path, entries: dict[str, int], start: int) -> None:
    graph = read(save(tmp_path, external("weights.bin", **entries)))
    np.testing.assert_array_equal(graph.constants["w"], DATA[start : start + 4])


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "/etc/passwd",
        "",
        "a/../../secret.bin",
        "..\\secret.bin",
        "C:\\secret.bin",
        "link.bin",
        "folder/secret.bin",
        "weights.bin\0",
    ],
)
def test_data_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    path = save(tmp_path, external(location))
    (path.parent / "link.bin").symlink_to(tmp_path / "secret.bin")
    (path.parent / "folder").symlink_to(tmp_path)
    with pytest.raises(ModelError, match="inside the model's folder"):
        read(path)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"offset": 20}, "must lie inside its file of 32 bytes"),
        ({"offset": -4}, "must be a number of bytes"),
        ({"offset": 2**70}, "must be a number of bytes"),
        ({"length": 12}, "must hold 16 bytes"),
        ({"length": "many"}, "must be a number of bytes"),
    ],
)
def test_extent_outside_the_file_is_refused(tmp_path: Path, entries: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read(save(tmp_path, external("weights.bin", **entries)))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be opened"):
        read(save(tmp_path, external("nothing.bin")))


def test_folder_and_pipe_are_no_data(tmp_path: Path) -> None:
    path = save(tmp_path, external("pipe"))
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(ModelError, match="regular file"):
        read(path)
    (path.parent / "pipe").unlink()
    (path.parent / "pipe").mkdir()
    with pytest.raises(ModelError, match=r"regular file|cannot be opened"):
        read(path)


def test_bytes_have_no_folder() -> None:
    with pytest.raises(ModelError, match="given as bytes"):
        read(external("weights.bin").SerializeToString())


def test_what_onnx_saves(tmp_path: Path) -> None:
    made = external("unused")
    made.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(DATA[:4], "w"))
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="m.data")
    np.testing.assert_array_equal(read(tmp_path / "m.onnx").constants["w"], DATA[:4])
