"""Checkpoints: one safetensors file that holds all that training goes on from.

The tensors are the model's and the optimiser's; the description, JSON in the header's metadata, is the model's graph as
text, loss, optimiser, schedule, precision, counters and history. One file, so that one rename makes all of it appear at
once; a digest over both parts, so that a truncated or edited file is refused. Nothing in it is code.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thew.errors import CheckpointError, InputError, ModelError
from thew.files import write_atomically
from thew.ir import Graph
from thew.ir.graph import Array
from thew.ir.parse import parse_graph
from thew.ir.text import print_graph
from thew.nn import GraphModule, Module
from thew.optim import optimizer_from, schedule_from
from thew.plan import PlanOptions
from thew.train.history import History
from thew.train.loop import Counters
from thew.train.parallel import DataParallel
from thew.train.precision import LossScaling
from thew.train.safetensors import pack, unpack

if TYPE_CHECKING:
    from thew.train.engine import Engine
    from thew.train.trainer import Trainer

FORMAT = 1
_KEY, _DIGEST = "thew.checkpoint", "thew.sha256"
MODEL, STATE = "model.", "state."


def _digest(description: str, tensors: dict[str, Array]) -> str:
    found = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        found.update(f"\n{name} {tensors[name].dtype} {tensors[name].shape}\n".encode())
        found.update(tensors[name].tobytes())
    return found.hexdigest()


def write(path: str | os.PathLike[str], graph: Graph, states: dict[str, Array], description: dict[str, Any]) -> None:
    """Writes a checkpoint, atomically: temporary file, fsync, rename."""
    tensors = {f"{MODEL}{name}": array for name, array in graph.constants.items()}
    tensors.update((f"{STATE}{name}", array) for name, array in states.items())
    text = json.dumps({"format": FORMAT, "graph": print_graph(graph), **description}, separators=(",", ":"))
    write_atomically(Path(path), pack(tensors, {_KEY: text, _DIGEST: _digest(text, tensors)}))


def read(path: str | os.PathLike[str]) -> tuple[Graph, dict[str, Array], dict[str, Any]]:
    """Graph, states and description of a checkpoint.

    Raises:
        CheckpointError: it is not there, truncated, edited, or of another version.
    """
    where = f"checkpoint '{os.fspath(path)}'"
    try:
        tensors, metadata = unpack(Path(path).read_bytes(), where)
    except OSError as error:
        raise CheckpointError(f"{where}: must be readable, got {error}") from error
    text = metadata.get(_KEY, "")
    if metadata.get(_DIGEST) != _digest(text, tensors):
        raise CheckpointError(f"{where}: must be as it was written, but its digest differs; use an earlier one")
    try:
        description = json.loads(text)
        if description.pop("format") != FORMAT:
            raise CheckpointError(
                f"{where}: must be of format {FORMAT}, got another; train with the version that wrote it"
            )
        parts: dict[str, dict[str, Array]] = {
            part: {name.removeprefix(part): array for name, array in tensors.items() if name.startswith(part)}
            for part in (MODEL, STATE)
        }
        graph = parse_graph(description.pop("graph"), parts[MODEL])
    except (ValueError, KeyError, TypeError, AttributeError, ModelError) as error:
        raise CheckpointError(f"{where}: must be a checkpoint of Thew, got {type(error).__name__}: {error}") from error
    return graph, parts[STATE], description


def save(trainer: Trainer, engine: Engine, loss: Any, path: str | os.PathLike[str]) -> None:
    """Writes what a trainer is."""
    model, shape = trainer.model, trainer.input_shape
    if shape is None:
        raise CheckpointError("save: the trainer must know its input_shape, got none; give it to Trainer")
    trainable = {name for name, _ in model.named_trainable()}
    description = {
        "parameters": [name for name, _ in model.named_parameters()],
        "buffers": [name for name, _ in model.named_buffers()],
        "frozen": [name for name, _ in model.named_parameters() if name not in trainable],
        "input_shape": shape,
        "input_dtype": trainer.input_dtype,
        "loss": loss.to_dict() if hasattr(loss, "to_dict") else None,
        "optimizer": trainer.optimizer.to_dict(),
        "schedule": trainer.schedule.to_dict(),
        "precision": trainer.precision,
        "loss_scaling": asdict(engine.precision.scaling),
        "threads": trainer.threads,
        "memory_budget_bytes": engine.budget_bytes,
        "options": asdict(engine.settings.options),
        "seed": trainer.seed,
        "counters": asdict(trainer.counters),
        "history": trainer.history.columns,
    }
    wide = engine.precision.wide
    graph = model.graph(("n", *shape), dtype=wide, training=True, input_dtype=trainer.input_dtype)
    write(path, graph, engine.states, description)


def resume(
    path: str | os.PathLike[str],
    model: Module | None,
    loss: Any,
    threads: int | None,
    cores: str | None,
    isa: str | None,
    distributed: bool | DataParallel = False,
    memory_budget_bytes: int | None = None,
) -> Trainer:
    """The trainer that a checkpoint is of."""
    graph, states, known = read(path)
    if "hyperparameters" in known:
        raise CheckpointError(
            f"checkpoint '{os.fspath(path)}': must be of training, got one of an agent; use thew.rl.DQN.load"
        )
    try:
        if memory_budget_bytes is not None:
            known["memory_budget_bytes"] = memory_budget_bytes
        return _resumed(path, graph, states, known, model, loss, threads, cores, isa, distributed)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ModelError, InputError) as error:
        where = f"checkpoint '{os.fspath(path)}'"
        raise CheckpointError(f"{where}: must be as Thew writes it, got {type(error).__name__}: {error}") from error


def _resumed(
    path: str | os.PathLike[str],
    graph: Graph,
    states: dict[str, Array],
    known: dict[str, Any],
    model: Module | None,
    loss: Any,
    threads: int | None,
    cores: str | None,
    isa: str | None,
    distributed: bool | DataParallel,
) -> Trainer:
    from thew.train.trainer import Trainer

    if loss is None:
        loss = known["loss"]
    if loss is None:
        raise CheckpointError(f"checkpoint '{os.fspath(path)}': its loss was a function; give it to resume")
    if model is None:
        model = GraphModule(graph, known["parameters"], known["buffers"])
        if known["frozen"]:
            model.freeze(*known["frozen"])
    trainer = Trainer(
        model, loss, optimizer_from(known["optimizer"]), known["input_shape"], known["precision"],
        known["threads"] if threads is None else threads, known["seed"], schedule=schedule_from(known["schedule"]),
        loss_scaling=LossScaling(**known["loss_scaling"]), cores=cores, isa=isa,
        input_dtype=known["input_dtype"], distributed=distributed,
        memory_budget_bytes=known.get("memory_budget_bytes"), options=PlanOptions(**known.get("options", {})),
    )  # fmt: skip
    own = trainer.model.state_dict()
    for name in (*known["parameters"], *known["buffers"]):
        if name in graph.constants:
            if name not in own or own[name].shape != graph.constants[name].shape:
                raise CheckpointError(f"checkpoint '{os.fspath(path)}': the model must have '{name}' as it was saved")
            np.copyto(own[name], graph.constants[name])
    trainer.restore(states, _counters(known["counters"]), _history(known["history"]))
    return trainer


def _counters(known: dict[str, Any]) -> Counters:
    found = Counters(**known)
    numbers = (found.steps, found.epochs, found.batches, 0 if found.first_epoch is None else found.first_epoch)
    if not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
        raise ValueError(f"counters must be numbers of what was done, got {known}")
    if not all(isinstance(total, int | float) for total in found.sums.values()):
        raise ValueError(f"sums must be numbers, got {found.sums}")
    return found


def _history(columns: dict[str, Any]) -> History:
    cells = [cell for column in columns.values() for cell in column]
    if not all(isinstance(cell, int | float) for cell in cells):
        raise ValueError("history must be columns of numbers")
    return History(columns)
