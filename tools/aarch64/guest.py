"""Runs in the emulated Python: one engine, one network, once as a whole and, for Thew's inference, once more step by
step.

argv: engine, the folder that networks.py filled, precision, where to write what was run. Marks the regions for the
counting plugin. Exit status 3 where the engine does not have what is asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from agent import learner

import thew
from thew.bench.peers import PEERS
from thew.bench.tasks import DQNTask, ModelTask, Task, TrainingTask, from_dict
from thew.errors import UnsupportedError

MARK = 0x54485700  # as in count.c
START, WHOLE, STEPS = 0, 1, 2
REFUSED = 3
WARM_UPS = 1
PRECISIONS = {  # of engines that do not have those of Thew; int8 is a model of its own
    "ncnn": ("fp32", "fp16"),
    "mnn": ("fp32", "fp16"),
    "litert": ("fp32",),
    "onnxruntime": ("fp32", "int8"),
}
PRODUCTS = ("conv", "matmul", "qlinear_conv", "qlinear_matmul")  # ops whose operations are multiply-accumulates
TOLD = ("ncnn", "mnn")  # their precision; others run the model as it is


def mark(region: int) -> None:
    with contextlib.suppress(OSError):  # no such policy: the call itself is the mark
        os.sched_get_priority_max(MARK + region)


def module_base() -> int:
    """Where the native module is mapped."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return int(next(line for line in maps if "_native" in line).split("-")[0], 16)


def count_whole(call: Callable[[], Any]) -> Any:
    for _ in range(WARM_UPS):
        call()
    mark(START)
    result = call()
    mark(WHOLE)
    return result


def run_training(task: TrainingTask, precision: str) -> dict[str, Any]:
    ready = PEERS["thew"].load().prepare(replace(task, precision=precision))
    count_whole(ready.call)
    return {"version": thew.__version__, "base": module_base(), "steps": []}


def run_agent(task: DQNTask, precision: str) -> dict[str, Any]:
    learning = learner(precision)
    count_whole(lambda: learning.step(task.draws(), 1.0))
    return {"version": thew.__version__, "base": module_base(), "steps": []}


def run_thew(task: ModelTask, precision: str) -> dict[str, Any]:
    session = thew.InferenceSession(task.path, threads=1, precision=precision)
    feeds = dict(task.feeds())
    (y,) = count_whole(lambda: session.run(None, feeds))
    stage = session.prepare().single
    assert stage is not None, "the network must be one native plan"
    outputs = [np.empty(shape, dtype) for shape, dtype in stage.results]
    arrays = (*feeds.values(), *outputs)
    mark(START)
    stage.program.profile(arrays)
    mark(STEPS)
    assert np.array_equal(outputs[0], y), "both ways must give the same"
    steps = [{"name": step.name, "kernel": step.kernel, "macs": macs_of(step)} for step in stage.plan.steps]
    return {"version": thew.__version__, "base": module_base(), "steps": steps}


def macs_of(step: Any) -> int:
    return step.flops // 2 if step.op in PRODUCTS else 0


def run_peer(engine: str, task: Task, precision: str) -> dict[str, Any]:
    ready = PEERS[engine].load().prepare(replace(task, options={"precision": precision} if engine in TOLD else {}))
    if ready is None:
        raise UnsupportedError(f"{engine}: does not do such a task")
    count_whole(ready.call)
    names = {"litert": "ai-edge-litert", "mnn": "MNN"}
    return {"version": metadata.version(names.get(engine, engine))}


def main() -> None:
    engine, folder, precision, out = sys.argv[1:]
    task = from_dict(json.loads((Path(folder) / "about.json").read_text())["task"])
    if precision not in PRECISIONS.get(engine, (precision,)):
        sys.exit(REFUSED)
    if isinstance(task, ModelTask) and precision == "int8":
        task, precision = replace(task, path=str(Path(folder) / "int8.onnx")), "fp32"
    try:
        about = run(engine, task, precision)
    except thew.Error as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(REFUSED)
    Path(out).write_text(json.dumps(about))


def run(engine: str, task: Task, precision: str) -> dict[str, Any]:
    if engine != "thew":
        return run_peer(engine, task, precision)
    if isinstance(task, TrainingTask):
        return run_training(task, precision)
    if isinstance(task, DQNTask):
        return run_agent(task, precision)
    assert isinstance(task, ModelTask)
    return run_thew(task, precision)


if __name__ == "__main__":
    main()
