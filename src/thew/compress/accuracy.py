"""Accuracy on the user's data, with what is known of its certainty, and a stop as soon as the answer is clear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array

_Z = 1.96  # of a 95 % interval
_MARGINS = (0.01, 0.03, 0.1, 0.3)  # drops beyond the bound that are told from the bound itself
_WRONG = 1e-3  # how often a candidate at the bound may be given up


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


def labelled(data: tuple[Any, Any]) -> Data:
    """Samples in fp32 and their classes, from any arrays (x, y)."""
    return Data(np.ascontiguousarray(data[0], np.float32), np.asarray(data[1]))


def right_answers(run: Callable[[Array], Array], data: Data, batch: int, is_fixed: bool = True) -> np.ndarray:
    """For every sample, in order, whether the model's largest output is its class.

    Args:
        run: gives the model's output for a batch.
        data: the samples.
        batch: samples of a run.
        is_fixed: whether the model takes whole batches only, so that what is over is not asked.
    """
    right = [_answers(run, data, part) for part in _parts(len(data.x), batch, is_fixed)]
    return np.concatenate(right) if right else np.zeros(0, dtype=bool)


def keeps_accuracy(
    run: Callable[[Array], Array],
    data: Data,
    batch: int,
    reference: np.ndarray,
    most_drop: float,
    asked: list[np.ndarray] | None = None,
) -> tuple[bool, Accuracy]:
    """Whether a candidate's accuracy stays within `most_drop` of the reference's answers, and what was counted.

    Asked sample by sample beside the reference (the differences alone matter, as in McNemar's test), and given up as
    soon as the drop is larger beyond reasonable doubt (`is_out`).

    Args:
        run: gives the candidate's output for a batch.
        data: the samples.
        batch: samples of a run.
        reference: for every sample, whether the reference is right.
        most_drop: share of accuracy that may be lost.
        asked: receives the candidate's answers, batch by batch.
    """
    lost = won = right = count = 0
    for part in _parts(len(reference), batch, len(reference) % batch == 0):
        answers, before = _answers(run, data, part), reference[part]
        if asked is not None:
            asked.append(answers)
        lost += int((before & ~answers).sum())
        won += int((~before & answers).sum())
        right += int(answers.sum())
        count += len(answers)
        if is_out(lost, won, count, most_drop):
            return False, Accuracy(right, count)
    return lost - won <= most_drop * count, Accuracy(right, count)


def is_out(lost: int, won: int, asked: int, most_drop: float) -> bool:
    """Whether a candidate's drop is beyond the bound, as far as it was asked: Wald's sequential test of the mean.

    A sample's difference is 1 (lost), 0 or -1 (won). The bound is tested against the bound and a margin, for each of a
    few margins with a part of the chance of error; the likelihood ratio is that of a normal mean with the variance
    seen (generalised SPRT; Wald 1945).
    """
    mean = (lost - won) / asked
    variance = (lost + won + 2) / (asked + 2) - (mean * asked / (asked + 2)) ** 2
    limit = log(len(_MARGINS) / _WRONG)
    ratios = (asked * margin * (2 * (mean - most_drop) - margin) / (2 * variance) for margin in _MARGINS)
    return any(ratio > limit for ratio in ratios)


def _parts(count: int, batch: int, is_fixed: bool) -> list[slice]:
    last = count - batch + 1 if is_fixed else count
    return [slice(start, min(start + batch, count)) for start in range(0, last, batch)]


def _answers(run: Callable[[Array], Array], data: Data, part: slice) -> np.ndarray:
    y = data.y[part]
    right: np.ndarray = np.asarray(run(data.x[part])).reshape(len(y), -1).argmax(axis=1) == y
    return right
