"""PyTorch in eager mode: a model runs op by op in inference mode, in the memory format that is faster here.

The model's graph is walked with PyTorch's own functions, as `torch.nn` modules would call them. With
``torch:precision=bf16`` parameters and inputs are bfloat16, outputs are converted back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.tasks import DQNTask, MatmulTask, ModelTask, OverheadTask, Task, TrainingTask

VERSION_OF = ("torch",)


def environment(threads: int) -> Mapping[str, str]:
    """The variable that its OpenMP reads."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """Tensors that share memory with the inputs."""
    import torch

    torch.set_num_threads(task.threads)
    torch.set_num_interop_threads(1)
    if isinstance(task, TrainingTask):
        return training(torch, task)
    if isinstance(task, DQNTask):
        return _dqn(task)
    tensors = {name: torch.from_numpy(array) for name, array in task.feeds().items()}
    if isinstance(task, MatmulTask):
        out = torch.empty((task.m, task.n), dtype=tensors["a"].dtype)
        with torch.inference_mode():
            return Ready(lambda: [torch.matmul(tensors["a"], tensors["b"], out=out).numpy()], {"build": _math(torch)})
    if not isinstance(task, ModelTask | OverheadTask):
        return None
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    if not any(tensor.ndim == 4 for tensor in tensors.values()):
        formats.pop("channels_last")
    dtype = dtype_of(torch, task)
    calls = {name: _caller(torch, task.path, tensors, form, dtype) for name, form in formats.items()}
    best = min(calls, key=lambda name: _seconds(calls[name]))
    return Ready(calls[best], {"memory_format": best, "inference_mode": True, **task.options})


def training(torch: Any, task: TrainingTask, compiled: bool = False) -> Ready:
    """Steps with the fused optimiser, in the memory format that is faster here."""
    from thew.bench.peers.torch_ops import as_module

    feeds = {name: torch.from_numpy(array) for name, array in task.feeds().items()}

    def caller(memory_format: Any) -> Callable[[], list[Any]]:
        module = as_module(task.path, memory_format)
        weights = [buffer.requires_grad_(True) for buffer in module.buffers()]
        forward = torch.compile(module) if compiled else module
        optimizer = torch.optim.SGD(weights, lr=0.0, momentum=task.momentum, fused=True)
        x = feeds["x"].contiguous(memory_format=memory_format)

        def call() -> list[Any]:
            optimizer.zero_grad(set_to_none=True)
            (logits,) = forward(x)
            loss = torch.nn.functional.cross_entropy(logits, feeds["y"])
            loss.backward()
            optimizer.step()
            return [loss.detach().numpy()]

        return call

    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    calls = {name: caller(memory_format) for name, memory_format in formats.items()}
    best = min(calls, key=lambda name: _seconds(calls[name]))
    return Ready(calls[best], {"memory_format": best, "optimizer": "SGD, fused"})


def _dqn(task: DQNTask) -> Ready:
    """CleanRL's agent."""
    import thew
    from thew.bench.peers.dqn_torch import Agent, environment_steps

    agent, settings = Agent(task, 4), {"optimizer": "Adam, fused"}
    if task.work == "environment":
        return Ready(environment_steps(agent, lambda: thew.rl.environments.make(task.env_id)), settings)
    if task.work == "act":
        seen = task.feeds()["observation"]
        return Ready(lambda: [np.array([agent.act(seen)])], settings)
    slots = task.slots()
    return Ready(lambda: [np.array([agent.step(slots)])], settings)


def dtype_of(torch: Any, task: Task) -> Any:
    """The floating-point type that the contender was told to compute in."""
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[task.options.get("precision", "fp32")]


def _caller(
    torch: Any, path: str, tensors: Mapping[str, Any], memory_format: Any, dtype: Any
) -> Callable[[], list[Any]]:
    from thew.bench.peers.torch_ops import as_module

    module = as_module(path, memory_format).eval().to(dtype)
    inputs = [t.contiguous(memory_format=memory_format) if t.ndim == 4 else t for t in tensors.values()]

    def call() -> list[Any]:
        with torch.inference_mode():
            return [tensor.float().numpy() for tensor in module(*(t.to(dtype) for t in inputs))]

    return call


def _seconds(call: Callable[[], Any]) -> float:
    call()
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best


def _math(torch: Any) -> str:
    return "MKL" if torch.backends.mkl.is_available() else "no MKL"
