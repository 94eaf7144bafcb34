"""Small ONNX models for these tests, and their outputs by Thew's references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from thew.onnx import read
from thew.ops.interpret import evaluate

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def value(name: str, *shape: int | str, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, list(shape))


def tensor(name: str, array: Any, dtype: Any = np.float32) -> Any:
    return numpy_helper.from_array(np.asarray(array, dtype), name)


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: Sequence[Any] = (),
    opset: int = 17,
    **rest: Any,
) -> Any:
    imports = [helper.make_opsetid("", opset), *rest.pop("imports", ())]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), list(constants))
    made = helper.make_model(graph, opset_imports=imports, **rest)
    made.ir_version = 8
    return made


def node_model(node: Any, arrays: dict[str, Any], constants: Sequence[Any] = (), opset: int = 17) -> Any:
    """A model of one node whose inputs are arrays and constants."""
    inputs = [
        value(name, *array.shape, dtype=helper.np_dtype_to_tensor_dtype(array.dtype)) for name, array in arrays.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    return model([node], inputs, outputs, constants, opset)


def run(made: Any, **arrays: Any) -> list[Any]:
    graph = read(made.SerializeToString())
    results = evaluate(graph, arrays)
    return [results[name] for name in graph.outputs]


def run_node(node: Any, arrays: dict[str, Any], constants: Sequence[Any] = (), opset: int = 17) -> list[Any]:
    made = node_model(node, arrays, constants, opset)
    assert not any(item.op.startswith("onnx") for item in read(made).nodes), "expected an op of Thew's own"
    return run(made, **arrays)
