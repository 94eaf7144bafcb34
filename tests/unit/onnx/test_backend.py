"""The `onnx.backend` interface: prepare, run_model, run_node, devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx_models import model, value

from thew.errors import InputError, UnsupportedError

pytest.importorskip("thew.runtime._native", reason="the native module is not built")

from thew.onnx import backend

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def made() -> Any:
    nodes = [helper.make_node("Sub", ["a", "b"], ["y"]), helper.make_node("Shape", ["y"], ["s"])]
    return model(nodes, [value("a", 2, 3), value("b", 3)], [value("y", 2, 3), value("s", 2, dtype=7)])


@pytest.mark.parametrize("inputs", [[X, X[1]], (X, X[1]), {"b": X[1], "a": X}])
def test_inputs_in_order_or_by_name(inputs: Any) -> None:
    outputs = backend.run_model(made(), inputs)
    np.testing.assert_array_equal(outputs[0], X - X[1])
    np.testing.assert_array_equal(outputs.s, [2, 3])


def test_prepared_models_run_again() -> None:
    prepared = backend.prepare(made(), "CPU", threads=2)
    for scale in (1, 2):
        np.testing.assert_array_equal(prepared.run([scale * X, X[1]])[0], scale * X - X[1])


def test_wrong_number_of_inputs() -> None:
    with pytest.raises(InputError, match="takes 2 inputs"):
        backend.run_model(made(), [X])


def test_run_node() -> None:
    node = helper.make_node("Gemm", ["a", "b", ""], ["y"], transB=1)
    (y,) = backend.run_node(node, [X, X])
    np.testing.assert_array_equal(y, X @ X.T)
    (y,) = backend.run_node(helper.make_node("Softmax", ["x"], ["y"], axis=0), [X], opset_version=11)
    np.testing.assert_allclose(y, np.exp(X - 5) / np.exp(X - 5).sum(), rtol=1e-6)


def test_devices() -> None:
    assert backend.supports_device("CPU") and backend.supports_device("CPU:0") and not backend.supports_device("CUDA")
    with pytest.raises(UnsupportedError, match="runs on CPU"):
        backend.prepare(made(), "CUDA")
