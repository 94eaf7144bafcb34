"""ONNX Runtime's CPU provider with all its graph optimisations, sequential execution, and its threads set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thew.bench.peers import Ready
from thew.bench.tasks import MatmulTask, ModelTask, OverheadTask, Task

VERSION_OF = ("onnxruntime",)


def environment(threads: int) -> Mapping[str, str]:
    """Its own pool takes an argument; libraries beside it take the variable."""
    return {"OMP_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """A session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = task.threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if isinstance(task, MatmulTask):
        model: Any = matmul_model(task.precision)
    elif isinstance(task, ModelTask | OverheadTask):
        model = task.path
    else:
        return None
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = dict(task.feeds())
    return Ready(lambda: list(session.run(None, feeds)), {"graph_optimization": "all", "execution": "sequential"})


def matmul_model(precision: str) -> bytes:
    """A model of one matrix product, any sizes."""
    from onnx import TensorProto, helper

    dtype = {"fp32": TensorProto.FLOAT, "fp64": TensorProto.DOUBLE}[precision]
    values = [helper.make_tensor_value_info(name, dtype, [f"{name}0", f"{name}1"]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "matmul", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
