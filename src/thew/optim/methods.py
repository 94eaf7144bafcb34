"""The methods, one small class each; their equations are those of `thew.ops.update`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from thew.errors import InputError
from thew.optim.optimizer import Optimizer


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with heavy-ball or Nesterov momentum (Sutskever et al. 2013).

    Example:
        >>> SGD(lr=0.1, momentum=0.9).kept()
        ('velocity*',)
    """

    op: ClassVar[str] = "update_sgd"

    lr: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise InputError("SGD: nesterov must come with a momentum above 0, got momentum=0")

    def attributes(self) -> Mapping[str, int]:
        """Whether the momentum looks ahead."""
        return {"nesterov": int(self.nesterov)}

    def kept(self) -> tuple[str, ...]:
        """A velocity where there is momentum."""
        return ("velocity*",) if self.momentum else ()


@dataclass(frozen=True, kw_only=True)
class _Moments(Optimizer):
    """What Adam and Nadam share: exponential means of the gradient and of its square."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        pair = self.betas if isinstance(self.betas, tuple | list) else ()
        if len(pair) != 2 or not all(isinstance(beta, int | float) and 0 <= beta < 1 for beta in pair):
            raise InputError(f"{type(self).__name__}: betas must be two numbers within [0, 1), got {self.betas!r}")
        super().__post_init__()

    @property
    def beta1(self) -> float:
        """Decay of the mean."""
        return self.betas[0]

    @property
    def beta2(self) -> float:
        """Decay of the mean square."""
        return self.betas[1]

    @property
    def epsilon(self) -> float:
        """What keeps the divisor from 0."""
        return self.eps


@dataclass(frozen=True, kw_only=True)
class Adam(_Moments):
    """Adam (Kingma and Ba 2015); weight decay is an L2 penalty."""

    op: ClassVar[str] = "update_adam"


@dataclass(frozen=True, kw_only=True)
class AdamW(_Moments):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    op: ClassVar[str] = "update_adam"

    weight_decay: float = 1e-2

    def attributes(self) -> Mapping[str, int]:
        """The decay is decoupled."""
        return {"decoupled": 1}


@dataclass(frozen=True, kw_only=True)
class NAdam(_Moments):
    """Adam with Nesterov momentum (Dozat 2016)."""

    op: ClassVar[str] = "update_nadam"

    lr: float = 2e-3
    momentum_decay: float = 4e-3


@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """Divides by a running root mean square (Tieleman and Hinton 2012); `centered` takes off the mean first."""

    op: ClassVar[str] = "update_rmsprop"

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    @property
    def epsilon(self) -> float:
        """What keeps the divisor from 0."""
        return self.eps

    def kept(self) -> tuple[str, ...]:
        """The mean square, and what momentum and centring need."""
        return ("square", *["velocity*"] * bool(self.momentum), *["middle*"] * self.centered)


@dataclass(frozen=True, kw_only=True)
class Adagrad(Optimizer):
    """Divides by the root of the sum of all squares so far (Duchi et al. 2011)."""

    op: ClassVar[str] = "update_adagrad"

    lr: float = 1e-2
    lr_decay: float = 0.0
    eps: float = 1e-10

    @property
    def epsilon(self) -> float:
        """What keeps the divisor from 0."""
        return self.eps


_METHODS = (SGD, Adam, AdamW, NAdam, RMSprop, Adagrad)


def optimizer_from(fields: Mapping[str, Any]) -> Optimizer:
    """The optimiser that `Optimizer.to_dict` described. Raises InputError for one that is not known."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    name = fields.pop("method", None)
    for method in _METHODS:
        if method.__name__ == name:
            return method(**fields)
    raise InputError(f"optimizer: must be one of {', '.join(method.__name__ for method in _METHODS)}, got {name!r}")
