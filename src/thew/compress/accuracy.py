"""Accuracy on the user's data, with what is known of its certainty, and a stop as soon as the answer is clear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array

_Z = 1.96  # of a 95 % interval
_Z_STOP = 3.3  # a candidate is given up where chance explains its drop once in two thousand times


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Right answers among those asked for."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """The share of right answers."""
        return self.right / self.asked if self.asked else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % score interval of the share (Wilson, 1927)."""
        if not self.asked:
            return 0.0, 1.0
        n, p = self.asked, self.share
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
        return middle - half, middle + half

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.share:.2f} % ({100 * low:.1f} to {100 * high:.1f}, {self.asked} samples)"


@dataclass(frozen=True)
class Data:
    """Samples and their classes.

    Attributes:
        x: samples along the first axis, as the model's input takes them.
        y: the class of each, an index into the model's output.
    """

    x: Array
    y: Array

    def __post_init__(self) -> None:
        if self.x.ndim < 2 or len(self.x) == 0 or self.y.shape != (len(self.x),) or self.y.dtype.kind not in "iu":
            raise InputError(
                "data: must be (x, y) with samples x along the first axis and as many integer classes y, got "
                f"x {self.x.shape} and y {self.y.dtype} {self.y.shape}"
            )


def right_answers(run: Callable[[Array], Array], data: Data, batch: int) -> np.ndarray:
    """For every sample, in order, whether the model's largest output is its class."""
    right = [
        _classes(run(data.x[start : start + batch]), batch) == data.y[start : start + batch]
        for start in range(0, len(data.x) - batch + 1, batch)
    ]
    return np.concatenate(right) if right else np.zeros(0, dtype=bool)


def keeps_accuracy(
    run: Callable[[Array], Array], data: Data, batch: int, reference: np.ndarray, most_drop: float
) -> tuple[bool, Accuracy]:
    """Whether a candidate's accuracy stays within `most_drop` of the reference's answers, and what was counted.

    Asked sample by sample beside the reference (the differences alone matter, as in McNemar's test), and given up as
    soon as the drop is larger beyond reasonable doubt.
    """
    lost = won = right = asked = 0
    for start in range(0, len(reference) - batch + 1, batch):
        answers = _classes(run(data.x[start : start + batch]), batch) == data.y[start : start + batch]
        before = reference[start : start + batch]
        lost += int((before & ~answers).sum())
        won += int((~before & answers).sum())
        right += int(answers.sum())
        asked += len(answers)
        if (lost - won) - most_drop * asked > _Z_STOP * sqrt(max(lost + won, 1)):
            return False, Accuracy(right, asked)
    return lost - won <= most_drop * asked, Accuracy(right, asked)


def _classes(outputs: Array, batch: int) -> np.ndarray:
    classes: np.ndarray = np.asarray(outputs).reshape(batch, -1).argmax(axis=1)
    return classes
