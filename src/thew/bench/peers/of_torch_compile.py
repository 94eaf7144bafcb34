"""PyTorch compiled by its default compiler (Inductor), frozen so that weights are folded and repacked."""

from __future__ import annotations

from typing import Any

from thew.bench.peers import Ready
from thew.bench.peers.of_torch import dtype_of, environment, training
from thew.bench.tasks import ModelTask, Task, TrainingTask

VERSION_OF = ("torch",)
__all__ = ["VERSION_OF", "environment", "prepare"]


def prepare(task: Task) -> Ready | None:
    """The compiled module."""
    if not isinstance(task, ModelTask | TrainingTask):
        return None
    import torch
    import torch._inductor.config as inductor

    from thew.bench.peers.torch_ops import as_module

    torch.set_num_threads(task.threads)
    if isinstance(task, TrainingTask):
        return training(torch, task, compiled=True)
    inductor.freezing = True
    dtype = dtype_of(torch, task)
    module = as_module(task.path, torch.channels_last).eval().to(dtype)
    compiled: Any = torch.compile(module)
    tensors = [torch.from_numpy(array) for array in task.feeds().values()]
    inputs = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in tensors]

    def call() -> list[Any]:
        with torch.no_grad():
            return [tensor.float().numpy() for tensor in compiled(*(t.to(dtype) for t in inputs))]

    return Ready(call, {"memory_format": "channels_last", "freezing": True, **task.options})
