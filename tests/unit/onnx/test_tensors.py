"""Tensors of every element type and storage, against `onnx.numpy_helper`; what is malformed is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from thew.dtypes import to_numpy
from thew.errors import Error, MemoryLimitError, ModelError, UnsupportedError
from thew.onnx.element_types import NAMES, PACKED_BITS
from thew.onnx.external import ExternalFiles
from thew.onnx.limits import Budget
from thew.onnx.tensors import TensorReader, to_tensor

NUMBERS = [number for number, name in NAMES.items() if name != "string" and number in TensorProto.DataType.values()]
VALUES = [1, 0, 1, 1, 0]


def reader(limit: int | None = None) -> TensorReader:
    return TensorReader(ExternalFiles(None), Budget(limit))


def elements(dtype: str) -> Any:
    values = np.array([1, 0, -2, 1, 3], np.float32)
    return (np.abs(values) if dtype.startswith("uint") or "e8m0" in dtype else values).astype(to_numpy(dtype))


@pytest.mark.parametrize("number", NUMBERS, ids=[NAMES[number] for number in NUMBERS])
@pytest.mark.parametrize("raw", [False, True], ids=["fields", "raw"])
def test_every_element_type(number: int, raw: bool) -> None:
    array = elements(NAMES[number])
    proto = numpy_helper.from_array(array, "t")
    if not raw:
        wide = array.astype(np.complex128) if NAMES[number].startswith("complex") else array.astype(np.float32)
        proto = helper.make_tensor("t", number, array.shape, wide.tolist())
    found = reader().tensor(proto, "t")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found.view(np.uint8), array.view(np.uint8))
    np.testing.assert_array_equal(numpy_helper.to_array(proto).astype(array.dtype).view(np.uint8), found.view(np.uint8))


@pytest.mark.parametrize("number", NUMBERS, ids=[NAMES[number] for number in NUMBERS])
@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (2, 3)])
def test_written_tensors_read_back(number: int, shape: tuple[int, ...]) -> None:
    array = np.resize(elements(NAMES[number]), shape)
    found = numpy_helper.to_array(to_tensor(array, "t"))
    assert found.shape == shape
    np.testing.assert_array_equal(np.atleast_1d(found).view(np.uint8), np.atleast_1d(array).view(np.uint8))
    again = reader().tensor(to_tensor(array), "t")
    np.testing.assert_array_equal(np.atleast_1d(again).view(np.uint8), np.atleast_1d(array).view(np.uint8))


def test_text() -> None:
    proto = helper.make_tensor("t", TensorProto.STRING, [2], ["ab", "é"])
    assert reader().tensor(proto, "t").tolist() == ["ab", "é"]


def test_raw_memory_is_shared() -> None:
    proto = numpy_helper.from_array(np.ones(1000, np.float32))
    assert not reader().tensor(proto, "t").flags.owndata


def spoiled(**changes: Any) -> Any:
    proto = numpy_helper.from_array(np.ones((2, 3), np.float32), "t")
    dims = changes.pop("dims", None)
    if dims is not None:
        del proto.dims[:]
        proto.dims.extend(dims)
    for name, value in changes.items():
        setattr(proto, name, value)
    return proto


@pytest.mark.parametrize(
    ("proto", "error", "words"),
    [
        (spoiled(raw_data=b"\0" * 23), ModelError, "must hold 24 bytes, got 23"),
        (spoiled(dims=[2, 4]), ModelError, "must hold 32 bytes, got 24"),
        (spoiled(dims=[-2, -3]), ModelError, "extents must lie in"),
        (spoiled(dims=[2**62, 4]), ModelError, "extents must lie in"),
        (spoiled(dims=[2**40, 2**40, 0]), ModelError, "at most 2\\^48 elements"),
        (spoiled(dims=[1] * 40), ModelError, "rank must be at most"),
        (spoiled(data_type=0), ModelError, "must have an element type"),
        (spoiled(data_type=77), UnsupportedError, "element type must be one of"),
        (spoiled(data_type=8), ModelError, "must hold 6 entries in string_data"),
        (TensorProto(name="t", data_type=1, dims=[3], float_data=[1.0]), ModelError, "3 entries in float_data, got 1"),
        (TensorProto(name="t", data_type=9, dims=[3]), ModelError, "3 entries in int32_data, got 0"),
        (spoiled(dims=[2**20, 2**20]), MemoryLimitError, "must fit the memory limit"),
    ],
)
def test_malformed(proto: Any, error: type[Error], words: str) -> None:
    with pytest.raises(error, match=words):
        reader().tensor(proto, "t")


def test_constants_count_together() -> None:
    shared = reader(30)
    shared.tensor(spoiled(), "t")
    with pytest.raises(MemoryLimitError, match="30 bytes, got 48"):
        shared.tensor(spoiled(), "t")


def sparse(indices: Any, dims: tuple[int, ...] = (3, 4)) -> Any:
    values = numpy_helper.from_array(np.array([5, 6, 7], np.float32), "s")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array(indices, np.int64), "at"), dims)


def test_sparse_by_position_and_by_axes() -> None:
    wanted = np.zeros((3, 4), np.float32)
    wanted[0, 1], wanted[1, 0], wanted[2, 3] = 5, 6, 7
    np.testing.assert_array_equal(reader().sparse(sparse([1, 4, 11]), "s"), wanted)
    np.testing.assert_array_equal(reader().sparse(sparse([[0, 1], [1, 0], [2, 3]]), "s"), wanted)


@pytest.mark.parametrize(
    "indices", [[1, 4, 12], [-1, 4, 5], [[0, 1], [1, 0], [3, 0]], [[0, 1], [1, 0], [0, -1]], [1, 4]]
)
def test_sparse_indices_outside_are_refused(indices: Any) -> None:
    with pytest.raises(ModelError, match="sparse indices must"):
        reader().sparse(sparse(indices), "s")


def test_sparse_takes_what_its_dense_form_takes() -> None:
    with pytest.raises(MemoryLimitError):
        reader(2**20).sparse(sparse([1, 4, 5], (2**20, 2**20)), "s")


def test_packed_types_are_those_of_less_than_a_byte() -> None:
    for name, bits in PACKED_BITS.items():
        assert name[-1] in "4212" and bits in (2, 4)
    assert onnx.TensorProto.INT4 in NAMES
