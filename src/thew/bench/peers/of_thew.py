"""Thew itself, with the options of a session: ``thew:precision=fp16``, ``thew:winograd=off``, ``thew:plan=FILE``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.peers import Ready
from thew.bench.tasks import DQNTask, MatmulTask, ModelTask, OverheadTask, Task, TrainingTask
from thew.errors import InputError

VERSION_OF = ("thew",)
SESSION_OPTIONS = ("precision", "mode", "isa", "plan")


def environment(threads: int) -> Mapping[str, str]:
    """Nothing: threads are an argument."""
    return {}


def prepare(task: Task) -> Ready | None:
    """A session."""
    import thew
    from thew.ir import GraphBuilder

    if isinstance(task, TrainingTask):
        return _training(task)
    if isinstance(task, DQNTask):
        return _dqn(task)
    feeds = task.feeds()
    if isinstance(task, MatmulTask):
        builder = GraphBuilder("matmul")
        names = [builder.input(name, task.precision, array.shape) for name, array in feeds.items()]
        session = thew.InferenceSession(builder.graph([builder.node("matmul", names)]), threads=task.threads)
    elif isinstance(task, ModelTask | OverheadTask):
        session = thew.InferenceSession(task.path, threads=task.threads, **_options(task.options, task.folder))
    else:
        return None
    session.run(None, feeds)
    settings = {**task.options, "planned_memory_bytes": session.peak_memory_bytes}
    return Ready(lambda: session.run(None, feeds), settings)


def _training(task: TrainingTask) -> Ready:
    """A trainer; ``thew:precision=mixed-fp16`` chooses another precision, ``thew:fusion=off`` leaves fusion out."""
    import thew
    from thew import optim

    told = dict(task.options)
    precision = told.pop("precision", task.precision)
    optimizer, shape = optim.SGD(lr=0.0, momentum=task.momentum), task.shape[1:]
    trainer = thew.Trainer(
        thew.from_onnx(task.path), optimizer=optimizer, input_shape=shape, precision=precision, threads=task.threads,
        options=_options(told)["options"],
    )  # fmt: skip
    feeds = task.feeds()
    trainer.step(feeds["x"], feeds["y"])
    settings = {"precision": precision, "planned_memory_bytes": trainer.peak_memory_bytes}
    return Ready(lambda: [np.asarray(trainer.step(feeds["x"], feeds["y"]))], settings)


def _dqn(task: DQNTask) -> Ready:
    """An agent; ``thew:precision=mixed-bf16`` chooses another precision."""
    import thew

    precision = task.options.get("precision", "fp32")
    agent = thew.rl.DQN(
        task.env_id, precision, task.threads, task.seed, learning_rate=task.learning_rate, gamma=task.gamma,
        batch_size=task.batch, buffer_size=task.transitions + 4, learning_starts=0, start_e=0.0, end_e=0.0,
    )  # fmt: skip
    for array, given in zip(agent.network.parameters(), task.weights(), strict=True):
        np.copyto(array, given)
    agent.learner.update_target(1.0)
    frames = task.frames()
    agent.replay.begin(0, frames[0])
    for action, reward, frame in zip(task.actions(), task.rewards(), frames[1:], strict=True):
        agent.replay.add(0, int(action), float(reward), frame, False, False)
    settings = {"precision": precision, "planned_memory_bytes": agent.learner.executable.peak_memory_bytes}
    if task.work == "act":
        seen = task.feeds()["observation"]
        return Ready(lambda: [agent.act(seen)], settings)
    if task.work == "step":
        draws = task.draws()
        return Ready(lambda: [np.asarray(agent.learner.step(draws, 1.0).loss)[None]], settings)

    def steps() -> list[Any]:
        agent.learn(agent.counters.steps + task.steps, log_every=0)
        return [np.zeros(1)]

    return Ready(steps, settings)


def _options(told: Mapping[str, str], folder: str = "") -> dict[str, Any]:
    """What a session takes by these names, a plan's by its path from a folder, and techniques that are ``off``."""
    from thew.plan import PlanOptions

    own = {name: value for name, value in told.items() if name in SESSION_OPTIONS}
    if "plan" in own:
        own["plan"] = str(Path(folder) / own["plan"])
    techniques = {name: state for name, state in told.items() if name not in SESSION_OPTIONS}
    if set(techniques.values()) - {"off"}:
        raise InputError(f"contender thew: a technique can be left out with =off, got {techniques}")
    return {**own, "options": PlanOptions.without(techniques)}
