"""ncnn in fp32 or fp16, fed with the same network in its own format, batch norm folded and activations fused as its
optimiser does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.peers import Ready, chosen_precision
from thew.bench.peers.ncnn_format import write
from thew.bench.tasks import ModelTask, Task
from thew.errors import UnsupportedError

VERSION_OF = ("ncnn",)


def environment(threads: int) -> Mapping[str, str]:
    """The variable that its OpenMP reads."""
    return {"OMP_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """A net; one sample at a time, since ncnn has no batch."""
    if not isinstance(task, ModelTask):
        return None
    import ncnn

    from thew.onnx import read
    from thew.passes.fold_batch_norm import fold_batch_norm
    from thew.passes.fold_constants import fold_constants

    ((name, (_, shape)),) = task.shapes.items()
    if shape[0] != 1:
        raise UnsupportedError(f"ncnn: has no batch, so that batch must be 1, got {shape[0]}")
    graph = fold_batch_norm(fold_constants(read(task.path)))
    stem = Path(task.folder) / "ncnn"
    if not stem.with_suffix(".bin").exists():
        write(graph, stem.with_suffix(".param"), stem.with_suffix(".bin"))
    net: Any = ncnn.Net()
    settings = {"use_winograd_convolution": True, "use_sgemm_convolution": True, "use_packing_layout": True}
    halves = chosen_precision(task) == "fp16"
    settings |= dict.fromkeys(("use_fp16_storage", "use_fp16_arithmetic", "use_fp16_packed"), halves)
    settings |= {"use_bf16_storage": False, "lightmode": True}
    net.opt.num_threads = task.threads
    for key, value in settings.items():
        setattr(net.opt, key, value)
    if net.load_param(str(stem.with_suffix(".param"))) or net.load_model(str(stem.with_suffix(".bin"))):
        raise UnsupportedError("ncnn: refuses the network that was written for it")
    sample = np.ascontiguousarray(task.feeds()[name][0])  # held by name: a Mat does not keep it
    data = ncnn.Mat(sample).clone()

    def call() -> list[Any]:
        extractor = net.create_extractor()
        extractor.input(name, data)
        return [np.array(extractor.extract(output)[1])[None] for output in graph.outputs]

    return Ready(call, settings)
