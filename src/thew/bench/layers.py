"""Layers of a network in fp32 and as `precision="auto"` runs them: what was picked, and whether any of it is slower.

Both programs are profiled in turn, round by round; no chain runs in strips, so that each layer has a time of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from thew.dtypes import HALVES
from thew.errors import UnsupportedError
from thew.plan import PlanOptions
from thew.runtime.auto import zeros
from thew.runtime.executable import NativeStage
from thew.runtime.session import InferenceSession


@dataclass(frozen=True)
class Layer:
    """A step of the mixed plan.

    Attributes:
        precision: of its first operand.
        seconds: the least of all rounds.
        ratio: median over rounds of its time over that in fp32; None for a cast, which fp32 has not.
    """

    name: str
    op: str
    precision: str
    seconds: float
    fp32_seconds: float | None
    ratio: float | None

    @property
    def is_reduced(self) -> bool:
        """Whether it runs on 16 bits, and does so in the place of a layer in fp32."""
        return self.precision in HALVES and self.ratio is not None


def compare_layers(path: str, shapes: Mapping[str, Sequence[int]], threads: int, rounds: int) -> list[Layer]:
    """Times of each layer under ``precision="auto"``, beside its time in fp32.

    Raises:
        UnsupportedError: Python takes part, so that the times would not be those of kernels.
    """
    wide, mixed = (_stage(path, shapes, threads, precision) for precision in ("fp32", "auto"))
    before: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    for index in range(rounds + 1):
        for stage, times in ((wide, before), (mixed, after)):
            seconds = stage.program.profile(zeros(stage))
            for step, taken in zip(stage.plan.steps, seconds, strict=True):
                if index:  # the first round warms up
                    times.setdefault(step.name, []).append(taken)
    layers = []
    for step in mixed.plan.steps:
        own, base = after[step.name], before.get(step.name) if step.op != "cast" else None
        precision = next((view.dtype for view in (*step.inputs, *step.outputs) if view is not None), "")
        ratio = None if base is None else median(a / b for a, b in zip(own, base, strict=True))
        layers.append(Layer(step.name, step.op, precision, min(own), None if base is None else min(base), ratio))
    return layers


def _stage(path: str, shapes: Mapping[str, Sequence[int]], threads: int, precision: str) -> NativeStage:
    options = PlanOptions.without(["strips"])
    stage = InferenceSession(path, threads=threads, precision=precision, options=options).prepare(shapes).single
    if stage is None:
        raise UnsupportedError(
            f"bench layers: '{path}' must run as one native plan; thew explain names its other steps"
        )
    return stage
