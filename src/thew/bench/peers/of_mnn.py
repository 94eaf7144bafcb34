"""MNN, fed through its own converter of ONNX files, in fp32 (its precision "high") or fp16 ("low")."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.peers import Ready, chosen_precision
from thew.bench.tasks import ModelTask, Task
from thew.errors import UnsupportedError

VERSION_OF = ("MNN",)


def environment(threads: int) -> Mapping[str, str]:
    """Its own pool takes a setting; libraries beside it take the variable."""
    return {"OMP_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """A session, resized to the inputs."""
    if not isinstance(task, ModelTask):
        return None
    import MNN

    from thew.onnx import read

    interpreter: Any = MNN.Interpreter(_converted(task))
    precision = {"fp32": "high", "fp16": "low"}[chosen_precision(task)]
    settings = {"backend": "CPU", "numThread": task.threads, "precision": precision}
    session = interpreter.createSession(settings)
    inputs = {name: interpreter.getSessionInput(session, name) for name in task.shapes}
    for name, (_, shape) in task.shapes.items():
        interpreter.resizeTensor(inputs[name], tuple(shape))
    interpreter.resizeSession(session)
    host = {name: _host(MNN, np.ascontiguousarray(array)) for name, array in task.feeds().items()}
    outputs = {name: interpreter.getSessionOutput(session, name) for name in read(task.path).outputs}
    results = {name: np.empty(output.getShape(), np.float32) for name, output in outputs.items()}

    def call() -> list[Any]:
        for name, tensor in inputs.items():
            tensor.copyFrom(host[name])
        interpreter.runSession(session)
        return [_copied(MNN, output, results[name]) for name, output in outputs.items()]

    return Ready(call, settings)


def _converted(task: ModelTask) -> str:
    """The model in MNN's format, by the native converter alone: its wrapper (`MNN.tools.mnnconvert`) installs packages
    by itself and reports to its maker. In a process of its own, since it ends the process where it fails.
    """
    path = Path(task.folder) / "model.mnn"
    if path.exists():
        return str(path)
    code = "import MNN, _tools, sys; _tools.mnnconvert(sys.argv)"
    command = [sys.executable, "-c", code, "-f", "ONNX", "--modelFile", task.path, "--MNNModel", str(path)]
    run = subprocess.run([*command, "--bizCode", "thew"], capture_output=True, text=True)
    if not path.exists():
        last = (run.stdout + run.stderr).strip().splitlines()[-1:] or ["nothing"]
        raise UnsupportedError(f"MNN: its converter must take the model, it said: {last[0]}")
    return str(path)


def _host(module: Any, array: Any) -> Any:
    return module.Tensor(array.shape, module.Halide_Type_Float, array, module.Tensor_DimensionType_Caffe)


def _copied(module: Any, output: Any, result: Any) -> Any:
    tensor = _host(module, result)
    output.copyToHostTensor(tensor)
    return np.array(tensor.getNumpyData())
