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


@dataclass(frozen=True)
class DQNTask(Task):
    """A piece of DQN on Atari: a gradient step on a batch from the replay, a greedy action, or `steps` steps of the
    environment, each with a greedy action, and a gradient step to every fourth.

    The learning rate is 0: a gradient step does all its work, and its loss stays the same, so that it can be compared.
    Transitions are of one endless episode of random frames, the weights those of an ONNX file.
    """

    kind: ClassVar[str] = "dqn"
    path: str = ""
    work: str = "step"  # or "act", "environment"
    batch: int = 32
    env_id: str = "ALE/Breakout-v5"
    learning_rate: ClassVar[float] = 0.0
    gamma: ClassVar[float] = 0.99
    transitions: ClassVar[int] = 2000
    steps: ClassVar[int] = 40

    def frames(self) -> Array:
        """(transitions + 1, 84, 84)."""
        return np.random.default_rng(self.seed).integers(0, 256, (self.transitions + 1, 84, 84), np.uint8)

    def actions(self) -> Array:
        """Of each transition."""
        return np.random.default_rng(self.seed + 1).integers(0, 4, self.transitions)

    def rewards(self) -> Array:
        """Of each transition."""
        return np.random.default_rng(self.seed + 2).integers(-1, 2, self.transitions).astype(np.float32)

    def draws(self) -> Array:
        """What the batch is drawn by."""
        return np.random.default_rng(self.seed + 3).random(self.batch)

    def slots(self) -> Array:
        """The transitions that these draws come to in Thew's replay, whose slots beyond them are empty."""
        from thew import ops

        priorities, slots = np.ones(self.transitions), np.arange(self.transitions)
        tree = np.zeros(2 * (self.transitions + 4))
        (tree,) = ops.get("update_sum_tree").reference({}, tree, slots, priorities)
        return np.asarray(ops.get("sample_sum_tree").reference({}, tree, self.draws())[0])

    def weights(self) -> list[Array]:
        """Of the network, layer by layer."""
        import onnx

        return [
            onnx.numpy_helper.to_array(tensor).copy()
            for tensor in onnx.load(self.path).graph.initializer
            if tensor.dims
        ]

    def feeds(self) -> Mapping[str, Array]:
        """One observation."""
        return {"observation": self.frames()[None, :4]}


_KINDS: dict[str, type[Task]] = {
    task.kind: task for task in (DQNTask, ModelTask, MatmulTask, OverheadTask, TrainingTask)
}


def from_dict(fields: Mapping[str, Any]) -> Task:
    """The task that `Task.to_dict` wrote."""
    remaining = dict(fields)
    kind = remaining.pop("kind", None)
    if kind not in _KINDS:
        raise InputError(f"task: kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    return _KINDS[kind](**remaining)
