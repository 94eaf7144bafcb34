"""``thew train``: trains a network of the zoo, or an ONNX model, on a data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thew.cli import show
from thew.cli.options import Common
from thew.errors import InputError

if TYPE_CHECKING:
    from thew import optim
    from thew.nn import Module
    from thew.train import Trainer


class Method(StrEnum):
    """Optimisers that the command line takes."""

    SGD = "sgd"
    ADAM = "adam"
    ADAMW = "adamw"
    NADAM = "nadam"
    RMSPROP = "rmsprop"
    ADAGRAD = "adagrad"


class Compression(StrEnum):
    """What gradients travel in between processes."""

    NONE = "none"
    FP16 = "fp16"
    BF16 = "bf16"


class Plan(StrEnum):
    """Schedules that the command line takes."""

    CONSTANT = "constant"
    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"


def train(
    common: Common,
    model: Annotated[str, typer.Argument(help="A network of the zoo such as lenet5, or an ONNX file.")],
    data: Annotated[
        str, typer.Option(help="mnist, fashion_mnist, cifar10, cifar100, or a folder of one folder a class.")
    ] = "mnist",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs in all.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples of a step.")] = 64,
    optimizer: Annotated[Method, typer.Option(help="Optimiser.")] = Method.SGD,
    lr: Annotated[float | None, typer.Option(min=0.0, help="Learning rate, at its peak.")] = None,
    momentum: Annotated[float, typer.Option(min=0.0, max=1.0, help="Momentum, for sgd and rmsprop.")] = 0.9,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Weight decay.")] = 0.0,
    label_smoothing: Annotated[float, typer.Option(min=0.0, max=1.0, help="Label smoothing.")] = 0.0,
    schedule: Annotated[Plan, typer.Option(help="How the learning rate changes over all epochs.")] = Plan.ONE_CYCLE,
    augment: Annotated[bool, typer.Option(help="Shift pictures, and mirror those of colour.")] = False,
    cutout: Annotated[int, typer.Option(min=0, help="Black out a square of so many pixels a side.")] = 0,
    memory_budget: Annotated[
        float | None, typer.Option(min=0.0, help="Megabytes that a step may take, parameters among them.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Train on the first samples only.")] = None,
    target: Annotated[float | None, typer.Option(help="Stop once the test accuracy is at least this.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Save to this file after each epoch and at the end.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint where there is one.")] = False,
    compress: Annotated[Compression, typer.Option(help="What gradients travel in, under mpirun.")] = Compression.NONE,
    export: Annotated[Path | None, typer.Option(help="Write the trained network to this ONNX file.")] = None,
) -> None:
    """Trains on a data set and tests after every epoch; SIGINT ends it at a step's end, with a checkpoint.

    Started by mpirun, the processes train together, each with its own batch of --batch-size.
    """
    import thew
    from thew.train.parallel import launched_size

    distributed = thew.train.DataParallel(compress) if launched_size() > 1 else False

    training, test = _data(data, model, augment, cutout, common.seed)
    if samples is not None:
        training = training.head(samples)
    if resume and checkpoint is not None and checkpoint.exists():
        trainer = thew.Trainer.resume(checkpoint, threads=common.threads, distributed=distributed)
    else:
        total = epochs * math.ceil(len(training) / (batch_size * launched_size()))
        trainer = thew.Trainer(
            _model(model, len(test.classes) or int(test.labels.max()) + 1, common.seed),
            thew.nn.CrossEntropyLoss(label_smoothing=label_smoothing),
            _optimizer(optimizer, lr, momentum, weight_decay),
            training.shape,
            common.precision,
            common.threads,
            common.seed,
            schedule=_schedule(schedule, total),
            memory_budget_bytes=None if memory_budget is None else int(memory_budget * 1e6),
            distributed=distributed,
        )
    callbacks = [thew.train.Reach(target)] if target is not None else []
    history = trainer.fit(training, epochs, batch_size, test, callbacks, checkpoint=checkpoint)
    if trainer.group.rank == 0:
        _finish(common, trainer, export, training.shape)
    if history.stopped.startswith("SIG"):
        raise typer.Exit(1)


def _finish(common: Common, trainer: Trainer, export: Path | None, shape: Sequence[int | str]) -> None:
    import thew

    if export is not None:
        thew.export_onnx(trainer.model, export, ("n", *shape))
    _report(common, trainer)


def _data(name: str, model: str, augment: bool, cutout: int, seed: int) -> tuple[Any, Any]:
    from thew import data

    holes = (data.cutout(cutout),) if cutout else ()
    if name in data.SETS:
        return data.load(name, (*(data.SETS[name].augment if augment else ()), *holes), seed)
    halves = [Path(name) / half for half in ("train", "test")]
    if not all(half.is_dir() for half in halves):
        raise InputError(
            f"data '{name}': must be one of {', '.join(data.SETS)}, or a folder with train and test in it, got neither"
        )
    size = _size(model)
    training, test = (data.ImageFolder(half, size) for half in halves)
    shifts = (data.flip(), data.random_crop(size[0] // 8)) if augment else ()
    training.preparation = replace(training.preparation, augment=(*shifts, *holes), seed=seed)
    return training, test


def _size(model: str) -> tuple[int, int]:
    from thew.models.zoo import ZOO

    return ZOO[model].input_shape[1:] if model in ZOO else (224, 224)


def _model(name: str, classes: int, seed: int) -> Module:
    from thew.models.zoo import ZOO
    from thew.onnx import from_onnx

    return ZOO[name].build(num_classes=classes, seed=seed) if name in ZOO else from_onnx(name)


def _optimizer(method: Method, lr: float | None, momentum: float, weight_decay: float) -> optim.Optimizer:
    from thew import optim

    given: dict[str, Any] = {"weight_decay": weight_decay}
    if lr is not None or method is Method.SGD:
        given["lr"] = 0.05 if lr is None else lr
    if method in (Method.SGD, Method.RMSPROP):
        given["momentum"] = momentum
    kinds: dict[Method, type[optim.Optimizer]] = {
        Method.SGD: optim.SGD,
        Method.ADAM: optim.Adam,
        Method.ADAMW: optim.AdamW,
        Method.NADAM: optim.NAdam,
        Method.RMSPROP: optim.RMSprop,
        Method.ADAGRAD: optim.Adagrad,
    }
    return kinds[method](**given)


def _schedule(kind: Plan, steps: int) -> optim.Schedule:
    from thew import optim

    if kind is Plan.CONSTANT:
        return optim.Constant()
    return optim.CosineAnnealing(steps) if kind is Plan.COSINE else optim.OneCycle(steps)


def _report(common: Common, trainer: Trainer) -> None:
    rows = trainer.history.rows()
    if common.json:
        found = {"precision": trainer.precision, "scaling": trainer.scaling, "stopped": trainer.history.stopped}
        show.as_json({"history": trainer.history.columns, **found})
        return
    names = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds", "samples_per_second")
    cells = [[f"{row.get(name, float('nan')):.5g}" for name in names] for row in rows]
    show.table("training", names, cells)
