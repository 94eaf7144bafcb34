"""`Trainer`: a model with its loss and optimiser, made ready to be trained on this machine.

A step is one graph (`thew.train.step`), planned once for each shape of batch. Parameters and optimiser states are
arrays that the plan's steps update where they lie; the model's own arrays are those, so that it is always up to date.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thew.dtypes import from_numpy, to_numpy
from thew.errors import InputError
from thew.ir import Graph, TensorType
from thew.ir.graph import Array
from thew.nn import CrossEntropyLoss, Module, NLLLoss
from thew.nn.graph_module import GraphModule
from thew.nn.loss import loss_of
from thew.optim import SGD, Constant, Optimizer, Schedule
from thew.passes.lower_training import OFFSET
from thew.plan import ALL_TECHNIQUES, Choices, Plan, PlanOptions
from thew.runtime.device import parse_cores, target
from thew.runtime.executable import Settings
from thew.train import checkpoint
from thew.train.arguments import check, numbers, sample_shape
from thew.train.batches import Batches, shard_of, source_of
from thew.train.callbacks import Callback
from thew.train.engine import Engine, Prepared, aligned
from thew.train.history import History
from thew.train.loop import Counters, Fit, measured
from thew.train.metrics import Means, Metric, merged, metrics_of
from thew.train.parallel import DataParallel, Group, group_of
from thew.train.precision import LossScaling, precision_of
from thew.train.step import HYPER

if TYPE_CHECKING:
    from thew.runtime.explain import Explanation

BATCH = 64  # samples of a step of `fit`, where nothing else is said
Classes = CrossEntropyLoss | NLLLoss  # losses whose targets are numbers of classes


@dataclass(frozen=True)
class Overflow:
    """The last step whose gradients were not finite, or beyond what 16 bits hold.

    Attributes:
        step: how many steps were done before it.
        tensor: the parameter whose gradient overflowed first in the backward pass.
    """

    step: int
    tensor: str


class Trainer:
    """Trains a model. `overflow` tells of the last step that was skipped for its gradients, if any was.

    Args:
        model: a module, or a graph, whose constants that stand where weights do are trained.
        loss: "cross_entropy", "mse", "l1", "huber", "bce_with_logits", "nll" or "kl_div", a module from `thew.nn`, or a
            function of two traced tensors, prediction and target, that gives one number.
        optimizer: from `thew.optim`.
        input_shape: shape of one sample, as (1, 28, 28).
        precision: "fp32", "fp64", "mixed-fp16", "mixed-bf16" or "mixed-fp64-fp16".
        threads: workers, this thread among them.
        seed: of all that is drawn: dropout and the order of samples.
        schedule: multiplies the learning rate.
        loss_scaling: how the loss is scaled in the precisions with fp16.
        cores: "all", "big", "little" or a list such as "0-3": the CPUs that the workers are kept on.
        isa: use nothing better than this instruction set.
        input_dtype: of samples, "int64" for numbers of an embedding; by default that of the precision.
        memory_budget_bytes: what a step may take, parameters and states among it. Where it needs more, and as far as
            that helps, values of the forward pass are made again for the backward pass, the batch is run in equal parts
            whose gradients add up (the same step, but that batch norm sees one part at a time), Winograd is left out,
            and activations wait in bf16; see `measure`. Evaluations run in parts that fit. Plans for other shapes are
            not kept meanwhile.
        distributed: whether this process is one of an MPI job (`mpirun -n 4 python script.py`) whose processes train
            together, or how they do (`thew.train.DataParallel`). Every one gives its own batch, all of one size: the
            step is that of the whole. Parameters are those of the first process.
        options: techniques of a plan to leave out, to see what they bring.

    Raises:
        InputError: an argument is none of the above.
        UnsupportedError: an op of the model has no gradient, or the precision is not known.

    Example:
        >>> trainer = Trainer(thew.models.lenet5(), optimizer=optim.SGD(lr=0.01, momentum=0.9), input_shape=(1, 28, 28))
        >>> loss = trainer.step(x, y)
    """

    def __init__(
        self,
        model: Module | Graph,
        loss: Any = "cross_entropy",
        optimizer: Optimizer | None = None,
        input_shape: Sequence[int] | None = None,
        precision: str = "fp32",
        threads: int = 1,
        seed: int = 0,
        *,
        schedule: Schedule | None = None,
        loss_scaling: LossScaling | None = None,
        cores: str | None = None,
        isa: str | None = None,
        input_dtype: str | None = None,
        memory_budget_bytes: int | None = None,
        distributed: bool | DataParallel | Group = False,
        options: PlanOptions = ALL_TECHNIQUES,
    ) -> None:
        if not isinstance(threads, int) or not 1 <= threads <= 1024:
            raise InputError(f"threads: must be between 1 and 1024, got {threads!r}")
        self.model = GraphModule(model) if isinstance(model, Graph) else model
        self.optimizer = SGD(lr=0.01, momentum=0.9) if optimizer is None else optimizer
        self.schedule = Constant() if schedule is None else schedule
        check("model", self.model, Module, "a module or a graph; thew.from_onnx reads a file")
        check("optimizer", self.optimizer, Optimizer, "one of thew.optim, as optim.SGD(lr=0.1)")
        check("schedule", self.schedule, Schedule, "one of thew.optim, as optim.CosineAnnealing(1000)")
        check("seed", seed, int, "a whole number of 64 bits", isinstance(seed, int) and -(2**63) <= seed < 2**63)
        check("memory_budget_bytes", memory_budget_bytes, int | None, "a whole number of bytes, or None")
        check("distributed", distributed, bool | DataParallel | Group, "true, false or thew.train.DataParallel")
        self.input_shape = sample_shape(input_shape)
        self.threads, self.seed = threads, seed
        self.counters, self.history = Counters(), History()
        policy = precision_of(precision, loss_scaling)
        self.precision, self._loss = policy.name, loss_of(loss)
        self.input_dtype = input_dtype or policy.wide
        self._dtype, self._input = to_numpy(policy.wide), to_numpy(self.input_dtype)
        settings = Settings(target(threads, isa), parse_cores(cores), options=options)
        self.group = group_of(distributed)
        self._engine = Engine(
            self.model, self._loss, self.optimizer, policy, settings, seed, memory_budget_bytes, self.group
        )
        self._factor = 1.0
        self.overflow: Overflow | None = None
        self._is_whole = True  # no step has been cut off

    # Single batches

    def step(self, x: Any, y: Any) -> float:
        """One step of the optimiser on one batch.

        Args:
            x: samples, (n, …).
            y: targets, (n, …): class numbers for cross-entropy and NLL, else numbers like the model's output.

        Returns:
            The loss before the update.

        Raises:
            InputError: shapes do not fit the model, or each other.
        """
        return self.step_with_prediction(x, y)[0]

    def step_with_prediction(self, x: Any, y: Any) -> tuple[float, Array]:
        """As `step`, with what the model gave for the batch before the update."""
        self._follow_schedule(self.counters.steps)
        self._engine.numbers[OFFSET][0] = self.counters.steps
        samples, targets = self._samples(x), self._targets(x, y)
        self._is_whole = False
        loss, prediction, *squares = self._engine.run(samples, targets)
        if squares and not np.isfinite(squares[0]).all():
            self._note_overflow(squares[0])
        self.counters.steps += 1
        self._is_whole = True
        return float(loss), prediction

    def _follow_schedule(self, step: int) -> None:
        factor = self.schedule.factor(step)
        if factor != self._factor:
            self._factor = factor
            np.copyto(self._engine.numbers[HYPER], self.optimizer.hyper(factor))

    def evaluate_batch(self, x: Any, y: Any) -> tuple[float, Array]:
        """Loss and prediction of one batch, with the model as it stands."""
        loss, prediction = self._engine.evaluate(self._samples(x), self._targets(x, y))
        return float(loss), prediction

    # Epochs

    def fit(
        self,
        data: Any,
        epochs: int = 1,
        batch_size: int = BATCH,
        validation: Any = None,
        callbacks: Sequence[Callback] = (),
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        metrics: Sequence[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        progress: bool | None = None,
    ) -> History:
        """Trains for some epochs. One that was cut off, here or in the run that a checkpoint is of, goes on.

        SIGINT and SIGTERM end it at the step's end, with a checkpoint where one is asked for. Of a job's processes each
        reads its own part of the data; where one fails it saves what all have come to, and ends the job.

        Args:
            data: (x, y) as arrays, samples by number (`thew.data`), or an iterable of batches, once an epoch.
            epochs: how many, those that were done before it was cut off among them.
            batch_size: samples of a step, in each process; the last of an epoch may have fewer.
            validation: data to evaluate after every epoch.
            callbacks: from `thew.train`.
            shuffle: whether samples come in another order every epoch.
            drop_last: whether a last batch that is not full is left out.
            metrics: names from `thew.train.METRICS`; accuracy where targets are classes by default.
            checkpoint: path to save to, after every epoch and at the end.
            checkpoint_every: save every so many steps too.
            progress: whether to show a bar on standard error; by default where that is a terminal.

        Returns:
            The history of all epochs so far, as columns.

        Raises:
            InputError: an argument does not fit.
        """
        return Fit(
            self, data, epochs, batch_size, validation, callbacks, shuffle, drop_last, metrics, checkpoint,
            checkpoint_every, progress,
        ).run()  # fmt: skip

    def evaluate(self, data: Any, batch_size: int = 256, metrics: Sequence[str] | None = None) -> dict[str, float]:
        """Means of loss and metrics over data, with the model as it stands; processes of a job share the work."""
        means = Means()
        for x, y in Batches(batch_size).of(shard_of(source_of(data), self.group.rank, self.group.size)):
            loss, prediction = self.evaluate_batch(x, y)
            means.add(len(x), {"loss": loss, **measured(self.metrics_for(metrics, y), prediction, y)})
        return merged(self.group.gathered(means)).means()

    def predict(self, x: Any, batch_size: int = 256) -> Array:
        """What the model gives for samples (n, …)."""
        if batch_size < 1:
            raise InputError(f"predict: batch_size must be at least 1, got {batch_size}")
        samples = numbers("x", x)
        parts = [
            self._engine.evaluate(self._samples(samples[i : i + batch_size]))[0]
            for i in range(0, len(samples), batch_size)
        ]
        if not parts:
            raise InputError("predict: x must have at least one sample, got none")
        return np.concatenate(parts)

    def stop(self, why: str) -> None:
        """Ends `fit` after the step or epoch under way."""
        self.history.stopped = why

    @property
    def learning_rate(self) -> float:
        """That of the step done last."""
        return self.optimizer.lr * self._factor

    def metrics_for(self, names: Sequence[str] | None, target: Any) -> dict[str, Metric]:
        """The metrics of these names, or those that fit the targets."""
        are_classes = np.asarray(target).dtype.kind in "iu" and isinstance(self._loss, Classes)
        ignored = self._loss.ignore_index if isinstance(self._loss, CrossEntropyLoss) else None
        return metrics_of(names, are_classes, ignored)

    # Checkpoints

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint of all that training goes on from. The file appears whole or not at all.

        Of the processes of a job, which are all in one state, the first writes.
        """
        if self.group.rank == 0:
            checkpoint.save(self, self._engine, self._loss, path)

    def rescue(self, path: str | os.PathLike[str]) -> bool:
        """Writes a checkpoint before this process ends its job, unless it was cut off within a step: whether it did."""
        if not self._is_whole:
            return False
        checkpoint.save(self, self._engine, self._loss, path)
        return True

    @staticmethod
    def resume(
        path: str | os.PathLike[str],
        model: Module | None = None,
        loss: Any = None,
        *,
        threads: int | None = None,
        cores: str | None = None,
        isa: str | None = None,
        distributed: bool | DataParallel = False,
        memory_budget_bytes: int | None = None,
    ) -> Trainer:
        """A trainer that goes on bit for bit where a checkpoint was written.

        Args:
            path: the checkpoint.
            model: a module of the same structure, into which its arrays are put; by default the checkpoint's own graph.
            loss: must be given again where it was a function.
            threads: workers, by default as before; results are the same for any number.
            cores: as for `Trainer`.
            isa: as for `Trainer`.
            distributed: as for `Trainer`; every process reads the file.
            memory_budget_bytes: as for `Trainer`, by default as before; another may change how sums are rounded.

        Raises:
            CheckpointError: the file is not there, truncated, edited, or does not fit the model.
        """
        return checkpoint.resume(path, model, loss, threads, cores, isa, distributed, memory_budget_bytes)

    def restore(self, states: dict[str, Array], counters: Counters, history: History) -> None:
        """Takes over where another trainer of the same model has stopped: optimiser states, counters, history."""
        self._engine.states.update((name, aligned(array.copy(), array.dtype)) for name, array in states.items())
        self.counters, self.history = counters, history
        self._follow_schedule(max(counters.steps - 1, 0))  # which an epoch may end with before another step
        self._engine.synchronise()

    # What it takes

    def prepare(self, batch_size: int, target_shape: Sequence[int] = (), target_dtype: str = "int64") -> Prepared:
        """Plans the step for a size of batch without running it; the target's shape is that of one sample's."""
        if self.input_shape is None:
            raise InputError("Trainer: input_shape must be given to plan before the first batch, got none")
        x = TensorType(self.input_dtype, (batch_size, *self.input_shape))
        return self._engine.prepare(x, TensorType(target_dtype, (batch_size, *target_shape)), True)

    @property
    def peak_memory_bytes(self) -> int:
        """Arena and scratch of what was planned last, with parameters and optimiser states. Where that is nothing yet,
        a step on `BATCH` samples is, as `fit` takes by default; `prepare` plans for another batch.

        Raises:
            InputError: nothing is planned, and the trainer has no input_shape.
        """
        return (self._engine.last() or self.plan_step()).needed_bytes

    @property
    def measure(self) -> str:
        """What is done to stay within memory_budget_bytes; empty where nothing need be."""
        found = self._planned().measure
        return "" if found is None else str(found)

    def plan_step(self, batch_size: int = BATCH, choices: Choices | None = None) -> Prepared:
        """Plans a step without running it, on targets such as the loss takes.

        Args:
            batch_size: samples of the step.
            choices: how nodes of the step's graph must be run; a step planned so is the caller's, and is not followed.
        """
        if isinstance(self._loss, Classes) or self.input_shape is None:
            usual = self.prepare(batch_size)
        else:
            prediction = self._engine.prediction_type(TensorType(self.input_dtype, (batch_size, *self.input_shape)))
            usual = self.prepare(batch_size, prediction.static_shape[1:], from_numpy(self._dtype))
        return usual if choices is None else self._engine.replanned(usual, choices)

    def follow(self, plan: Plan | str | os.PathLike[str]) -> None:
        """Runs every step that this plan was made for as it says: what `thew.search` found, or the path of it.

        Raises:
            PlanError: the file is no plan.
        """
        self._engine.follow(plan if isinstance(plan, Plan) else Plan.load(plan))

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Puts parameters and states back as they were: steps that run within were none."""
        arrays = [*self._planned().step.own.values(), *self._engine.states.values()]
        before = [array.copy() for array in arrays]
        try:
            yield
        finally:
            for array, kept in zip(arrays, before, strict=True):
                np.copyto(array, kept)

    def explain(self, rounds: int = 5) -> Explanation:
        """A table of the steps of the plan used last: layer, algorithm, time, GFLOP/s, share of peak. Changes nothing.

        Args:
            rounds: timed runs; the fastest of each step counts. 0 leaves times out.
        """
        from thew.runtime.explain import explain

        with self.undisturbed():
            return explain(self._planned().executable, rounds)

    def _planned(self) -> Prepared:
        prepared = self._engine.last()
        if prepared is None:
            raise InputError("Trainer: nothing is planned yet; call prepare(batch_size) or step first")
        return prepared

    @property
    def scaling(self) -> dict[str, float] | None:
        """The loss scale, clean steps since it changed, and skipped steps; None where the loss is not scaled."""
        state = self._engine.scale
        return None if state is None else dict(zip(("scale", "clean", "skipped"), map(float, state), strict=True))

    def _note_overflow(self, squares: Array) -> None:
        """The backward pass comes to the last parameters first."""
        names = self._planned().step.trained
        first = int(np.flatnonzero(~np.isfinite(squares))[-1])
        self.overflow = Overflow(self.counters.steps, names[first])

    def _samples(self, x: Any) -> Array:
        if type(x) is not np.ndarray or x.dtype != self._input or not x.flags.c_contiguous:
            x = np.ascontiguousarray(numbers("x", x), self._input)
        if self.input_shape is not None and x.shape[1:] != self.input_shape:
            raise InputError(f"x: must have shape (n, {', '.join(map(str, self.input_shape))}), got {x.shape}")
        if not len(x):
            raise InputError("x: must have at least one sample, got none")
        samples: Array = x
        return samples

    def _targets(self, x: Any, y: Any) -> Array:
        targets = numbers("y", y)
        are_classes = isinstance(self._loss, Classes)
        if targets.dtype.kind in "iub" and (are_classes or not isinstance(self._loss, Module)):
            targets = np.ascontiguousarray(targets, np.int64)
        else:
            targets = np.ascontiguousarray(targets, self._dtype)
        if targets.shape[:1] != (len(x),):
            raise InputError(f"y: must have as many targets as there are samples, {len(x)}, got {targets.shape}")
        return targets
