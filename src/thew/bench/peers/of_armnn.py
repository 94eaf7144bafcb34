"""Arm NN's CPU backend (Arm Compute Library), through its ONNX parser.

Its binding offers no number of threads: the library starts one for each CPU that the process may use, so the process is
held to as many CPUs as threads are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.tasks import ModelTask, Task
from thew.errors import UnsupportedError

VERSION_OF = ("pyarmnn",)


def environment(threads: int) -> Mapping[str, str]:
    """Libraries beside it take the variable."""
    return {"OMP_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """A network optimised for the CPU; the model's declared shapes are the ones it runs."""
    if not isinstance(task, ModelTask):
        return None
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.threads])
    import pyarmnn as armnn

    from thew.onnx import read

    parser: Any = armnn.IOnnxParser()
    network = parser.CreateNetworkFromBinaryFile(task.path)
    runtime = armnn.IRuntime(armnn.CreationOptions())
    backends = [armnn.BackendId("CpuAcc")]
    optimised, messages = armnn.Optimize(network, backends, runtime.GetDeviceSpec(), armnn.OptimizerOptions())
    if optimised is None:
        raise UnsupportedError(f"Arm NN: its CPU backend must take the model, it said: {messages}")
    number, _ = runtime.LoadNetwork(optimised)
    feeds = task.feeds()
    inputs = armnn.make_input_tensors([parser.GetNetworkInputBindingInfo(name) for name in feeds], list(feeds.values()))
    outputs = armnn.make_output_tensors([parser.GetNetworkOutputBindingInfo(name) for name in read(task.path).outputs])

    def call() -> list[Any]:
        runtime.EnqueueWorkload(number, inputs, outputs)
        return [np.asarray(array) for array in armnn.workload_tensors_to_ndarray(outputs)]

    return Ready(call, {"backend": "CpuAcc"})
