"""LiteRT (TensorFlow Lite) with its XNNPACK delegate, fed with the same network in its own format and layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.peers.tflite_format import write
from thew.bench.peers.tflite_integers import write_integers
from thew.bench.tasks import ModelTask, Task
from thew.ir import TensorType

VERSION_OF = ("ai_edge_litert",)


def environment(threads: int) -> Mapping[str, str]:
    """Its own pool takes an argument; libraries beside it take the variable."""
    return {"OMP_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """An interpreter; pictures go in channels last, as it wants them."""
    if not isinstance(task, ModelTask):
        return None
    from ai_edge_litert.interpreter import Interpreter

    from thew.onnx import read
    from thew.passes import pipeline
    from thew.passes.eliminate_dead import eliminate_dead
    from thew.passes.fold_batch_norm import fold_batch_norm
    from thew.passes.fold_constants import fold_constants
    from thew.passes.specialise import specialise

    types = {name: TensorType(dtype, tuple(shape)) for name, (dtype, shape) in task.shapes.items()}
    source = read(task.path)
    is_quantised = any(node.op == "quantize_linear" for node in source.nodes)
    first = (eliminate_dead, *pipeline.INTEGERS, eliminate_dead) if is_quantised else ()
    graph = specialise(pipeline.run(source, (*first, fold_constants, fold_batch_norm)), types)
    path = Path(task.folder) / "model.tflite"
    if not path.exists():
        (write_integers if is_quantised else write)(graph, path)
    interpreter: Any = Interpreter(str(path), num_threads=task.threads)
    interpreter.allocate_tensors()
    feeds = task.feeds()
    places = [detail["index"] for detail in interpreter.get_input_details()]
    arrays = [np.ascontiguousarray(_channels_last(feeds[value.name])) for value in graph.inputs]
    results = [detail["index"] for detail in interpreter.get_output_details()]

    def call() -> list[Any]:
        for place, array in zip(places, arrays, strict=True):
            interpreter.set_tensor(place, array)
        interpreter.invoke()
        return [interpreter.get_tensor(place) for place in results]

    return Ready(call, {"delegate": "XNNPACK", "layout": "channels last"})


def _channels_last(array: Any) -> Any:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
