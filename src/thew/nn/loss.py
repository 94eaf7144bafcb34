"""Losses with PyTorch's names, arguments and meaning: modules of (prediction, target) that trace to one number.

Targets of CrossEntropyLoss and NLLLoss are class numbers; those of the others have the prediction's shape. Reductions
are "mean" and "sum".
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class _Loss(Module):
    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum")

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in self.reductions:
            raise InputError(f"{type(self).__name__}: reduction must be among {self.reductions}, got {reduction!r}")
        self.reduction = reduction

    def reduced(self, terms: Tensor) -> Tensor:
        """All terms as one number."""
        axes = list(range(terms.ndim))
        return terms.mean(axes) if self.reduction == "mean" else terms.sum(axes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON: the class and its arguments."""
        names = inspect.signature(type(self)).parameters
        values = {name: getattr(self, name) for name in names}
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}
        return {"loss": type(self).__name__, **plain}

    def extra_repr(self) -> str:
        """The reduction, where it is not the mean."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """−log softmax(logits) of the class, with optional weights of classes, and label smoothing (Szegedy et al. 2016).

    Logits are (n, c) or (n, c, d…), targets (n) or (n, d…) integers.
    """

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", None if weight is None else np.asarray(weight, np.float32))
        self.ignore_index, self.label_smoothing = operator.index(ignore_index), float(label_smoothing)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number."""
        how = {"ignore_index": self.ignore_index, "label_smoothing": self.label_smoothing}
        inputs = [prediction, target, self.weight]
        return prediction.trace.node("softmax_cross_entropy", inputs, 2, reduction=self.reduction, **how)[0]


class NLLLoss(_Loss):
    """−input of the class, for inputs that are log-probabilities (n, c) or (n, c, d…)."""

    def __init__(self, weight: Array | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", None if weight is None else np.asarray(weight, np.float32))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number."""
        classes = int(prediction.shape[1])
        values = np.array([0, 1], np.float32)
        chosen = prediction.trace.node("one_hot", [target, np.array(classes, np.int64), values], axis=1)[0]
        if self.weight is not None:
            chosen = chosen * self.weight.reshape(1, -1, *[1] * (prediction.ndim - 2))
        axes = list(range(prediction.ndim))
        total = -(prediction * chosen).sum(axes)
        return total / chosen.sum(axes) if self.reduction == "mean" else total


class MSELoss(_Loss):
    """(prediction − target)²."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number."""
        difference = prediction - target
        return self.reduced(difference * difference)


class L1Loss(_Loss):
    """|prediction − target|."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number."""
        return self.reduced((prediction - target).op("abs"))


class HuberLoss(_Loss):
    """d²/2 up to |d| = delta, delta · (|d| − delta/2) beyond (Huber 1964)."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise InputError(f"HuberLoss: delta must be above 0, got {delta}")
        self.delta = delta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """With m = min(|d|, delta) both branches are m · (|d| − m/2)."""
        distance = (prediction - target).op("abs")
        near = distance.op("min", self.delta)
        return self.reduced(near * (distance - near * 0.5))


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of logits: softplus(z) − z · target, optionally with the positives weighted."""

    def __init__(self, pos_weight: Array | float | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("pos_weight", None if pos_weight is None else np.asarray(pos_weight, np.float32))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(1 − t) · z + (1 + (w − 1) · t) · softplus(−z)."""
        if self.pos_weight is None:
            return self.reduced(prediction.op("softplus") - prediction * target)
        factor = target * (self.pos_weight - np.float32(1)) + 1.0
        return self.reduced((1.0 - target) * prediction + factor * (-prediction).op("softplus"))


class KLDivLoss(_Loss):
    """target · (log target − prediction) for predictions that are log-probabilities.

    "mean" divides by all elements, "batchmean", which is the divergence's own, by the batch.
    """

    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "batchmean")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number."""
        share = target.op("exp") if self.log_target else target
        logarithm = target if self.log_target else target.op("max", 1e-30).op("log")
        total = self.reduced(share * (logarithm - prediction))
        return total / float(prediction.shape[0]) if self.reduction == "batchmean" else total


LOSSES: Mapping[str, type[_Loss]] = {
    "bce_with_logits": BCEWithLogitsLoss,
    "cross_entropy": CrossEntropyLoss,
    "huber": HuberLoss,
    "kl_div": KLDivLoss,
    "l1": L1Loss,
    "mse": MSELoss,
    "nll": NLLLoss,
}


def loss_of(given: Any) -> Any:
    """The loss: a name from `LOSSES`, what `to_dict` described, a module, or any function of (prediction, target)."""
    if isinstance(given, dict):
        fields = dict(given)
        name = fields.pop("loss", None)
        kind = next((kind for kind in LOSSES.values() if kind.__name__ == name), None)
        if kind is None:
            raise InputError(f"loss: must be described as one of {', '.join(LOSSES)}, got {name!r}")
        return kind(**fields)
    if isinstance(given, str):
        if given not in LOSSES:
            raise InputError(f"loss: must be one of {', '.join(LOSSES)}, a module or a function, got {given!r}")
        return LOSSES[given]()
    if not callable(given):
        raise InputError(f"loss: must be one of {', '.join(LOSSES)}, a module or a function, got {given!r}")
    return given
