"""Reading a file piece by piece gives what reading its bytes gives, also where the file is no good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from thew.errors import Error, ModelError
from thew.ir.pages import LEAST_BYTES, pages_of
from thew.onnx import read
from thew.onnx.skeleton import skeleton_of

RNG = np.random.default_rng(0)
WEIGHTS = {"large": (64, 3, 16, 16), "larger": (200, 200), "small": (3,)}


def model(**changes: Any) -> bytes:
    weights = [numpy_helper.from_array(RNG.standard_normal(shape, np.float32), name) for name, shape in WEIGHTS.items()]
    for name, value in changes.items():
        setattr(weights[0], name, value)
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in WEIGHTS]
    outputs = [
        helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, shape) for name, shape in WEIGHTS.items()
    ]
    graph = helper.make_graph(nodes, "weights", [], outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def outcome(source: Any) -> Any:
    """The constants, or the kind of the error."""
    try:
        return {name: array.tobytes() for name, array in read(source).constants.items()}
    except Error as error:
        return type(error)


def test_a_file_is_read_as_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data := model())
    assert outcome(path) == outcome(data)
    found = {name: pages_of(array) is not None for name, array in read(path).constants.items()}
    assert found == {"large": True, "larger": True, "small": False}
    with path.open("rb") as file:
        skeleton = skeleton_of(file, len(data))
    assert skeleton is not None and len(skeleton) < LEAST_BYTES
    assert [tensor.name for tensor in onnx.ModelProto.FromString(skeleton).graph.initializer] == list(WEIGHTS)


@pytest.mark.parametrize("seed", range(40))
def test_bad_files_end_as_bad_bytes_do(tmp_path: Path, seed: int) -> None:
    rng, data = np.random.default_rng(seed), bytearray(model())
    if seed % 2:
        del data[int(rng.integers(1, len(data))) :]
    heads = np.flatnonzero(np.frombuffer(bytes(data), np.uint8) < 16)  # more often keys and lengths than numbers
    for place in (*rng.integers(0, min(len(data), 40), 1), *rng.choice(heads, 2)):
        data[int(place)] = int(rng.integers(0, 256))
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    assert outcome(path) == outcome(bytes(data))


def test_a_weight_of_the_wrong_size(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(raw_data=bytes(LEAST_BYTES)))
    with pytest.raises(ModelError, match=r"'large'.*must hold 196608 bytes"):
        read(path)


def test_other_ways_to_hold_a_weight_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(data_location=TensorProto.EXTERNAL))
    assert outcome(path) is ModelError
