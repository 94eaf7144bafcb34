"""OpenVINO's CPU plug-in in its latency mode, held to fp32, or to what ``openvino:precision=bf16`` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.peers.of_onnxruntime import matmul_model
from thew.bench.tasks import MatmulTask, ModelTask, OverheadTask, Task

VERSION_OF = ("openvino",)


def environment(threads: int) -> Mapping[str, str]:
    """Its own pool takes a setting; libraries beside it take the variable."""
    return {"OMP_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """A compiled model with one inference request."""
    import openvino

    core: Any = openvino.Core()
    feeds = task.feeds()
    if isinstance(task, MatmulTask):
        model = core.read_model(matmul_model(task.precision))
    elif isinstance(task, ModelTask | OverheadTask):
        model = core.read_model(Path(task.path))
    else:
        return None
    model.reshape({name: list(array.shape) for name, array in feeds.items()})
    hint = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}[task.options.get("precision", "fp32")]
    precision = "f64" if isinstance(task, MatmulTask) and task.precision == "fp64" else hint
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": task.threads,
        "INFERENCE_PRECISION_HINT": hint,
    }
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    inputs = dict(feeds)

    def call() -> list[Any]:
        request.infer(inputs, share_inputs=True)
        return [np.asarray(request.get_output_tensor(index).data) for index in range(len(compiled.outputs))]

    return Ready(call, {**settings, **task.options, "arithmetic": precision})
