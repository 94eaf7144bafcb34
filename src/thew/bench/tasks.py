"""What can be measured, as plain data that goes to every contender: the same work from the same seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array


@dataclass(frozen=True)
class Task:
    """Work for all contenders.

    Attributes:
        threads: threads that each contender may use.
        seed: seed of inputs, and of weights where they are random.
        folder: where the contenders find files that the measurement made for them.
        options: what one contender is told beside the work, as text (see `thew.bench.peers.split`).
    """

    threads: int
    seed: int
    folder: str
    options: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    kind: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"kind": self.kind, **asdict(self)}

    def feeds(self) -> Mapping[str, Array]:
        """The inputs by name."""
        raise NotImplementedError


@dataclass(frozen=True)
class ModelTask(Task):
    """One inference of a model: an ONNX file, with inputs drawn from a normal distribution."""

    kind: ClassVar[str] = "model"
    path: str = ""
    shapes: Mapping[str, tuple[str, tuple[int, ...]]] = None  # type: ignore[assignment]  # input → dtype, shape

    def feeds(self) -> Mapping[str, Array]:
        """The inputs by name."""
        from thew.dtypes import to_numpy

        generator = np.random.default_rng(self.seed)
        return {n: generator.standard_normal(tuple(s)).astype(to_numpy(d)) for n, (d, s) in self.shapes.items()}


@dataclass(frozen=True)
class TrainingTask(Task):
    """One step of SGD with momentum on cross-entropy, of a network in an ONNX file whose output is logits.

    The learning rate is 0: a step does all its work, and its loss stays the same, so that it can be compared.
    """

    kind: ClassVar[str] = "training"
    path: str = ""
    shape: tuple[int, ...] = ()
    classes: int = 10
    precision: str = "fp32"
    momentum: ClassVar[float] = 0.9

    def feeds(self) -> Mapping[str, Array]:
        """A batch and its classes."""
        generator = np.random.default_rng(self.seed)
        x = generator.standard_normal(tuple(self.shape)).astype(np.float32)
        return {"x": x, "y": generator.integers(0, self.classes, self.shape[0])}


@dataclass(frozen=True)
class MatmulTask(Task):
    """C = A B, of m × k by k × n."""

    kind: ClassVar[str] = "matmul"
    m: int = 1024
    n: int = 1024
    k: int = 1024
    precision: str = "fp32"

    def feeds(self) -> Mapping[str, Array]:
        """A and B."""
        dtype = {"fp32": np.float32, "fp64": np.float64}[self.precision]
        generator = np.random.default_rng(self.seed)
        shapes = {"a": (self.m, self.k), "b": (self.k, self.n)}
        return {name: generator.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


@dataclass(frozen=True)
class OverheadTask(Task):
    """A call that computes next to nothing: one ReLU of a few numbers."""

    kind: ClassVar[str] = "overhead"
    path: str = ""
    size: int = 16

    def feeds(self) -> Mapping[str, Array]:
        """One small input."""
        return {"x": np.random.default_rng(self.seed).standard_normal(self.size).astype(np.float32)}


_KINDS: dict[str, type[Task]] = {task.kind: task for task in (ModelTask, MatmulTask, OverheadTask, TrainingTask)}


def from_dict(fields: Mapping[str, Any]) -> Task:
    """The task that `Task.to_dict` wrote."""
    remaining = dict(fields)
    kind = remaining.pop("kind", None)
    if kind not in _KINDS:
        raise InputError(f"task: kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    return _KINDS[kind](**remaining)
