"""Initial values of parameters, PyTorch's defaults, drawn from one seeded NumPy generator a context.

Draws are float32 and filled in place. `seeded` makes what is built within reproducible, and touches nothing else:

    with nn.init.seeded(0):
        model = nn.Linear(4, 2)

Kaiming: He et al. 2015, "Delving Deep into Rectifiers"; Xavier: Glorot and Bengio 2010.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from thew.errors import ShapeError
from thew.ir.graph import Array

_generator: ContextVar[np.random.Generator | None] = ContextVar("thew.nn.init", default=None)


def generator() -> np.random.Generator:
    """The generator in force; outside `seeded`, one seeded with 0 when first used."""
    found = _generator.get()
    if found is None:
        found = np.random.default_rng(0)
        _generator.set(found)
    return found


def manual_seed(seed: int) -> None:
    """Seeds what this context draws from now on."""
    _generator.set(np.random.default_rng(seed))


@contextmanager
def seeded(seed: int | None) -> Iterator[np.random.Generator]:
    """Draws within come from a generator of this seed; None keeps the one in force."""
    token = _generator.set(generator() if seed is None else np.random.default_rng(seed))
    try:
        yield generator()
    finally:
        _generator.reset(token)


def fans(array: Array) -> tuple[int, int]:
    """Inputs that reach one output, and outputs that one input reaches; weights are (out, in, kernel …)."""
    if array.ndim < 2:
        raise ShapeError(f"init: fans need a weight of at least 2 dimensions, got shape {array.shape}")
    receptive = math.prod(array.shape[2:])
    return array.shape[1] * receptive, array.shape[0] * receptive


def uniform_(array: Array, a: float = 0.0, b: float = 1.0) -> Array:
    """Uniform in [a, b)."""
    draws = generator().random(array.shape, dtype=np.float32)
    draws *= np.float32(b - a)
    draws += np.float32(a)
    array[...] = draws
    return array


def normal_(array: Array, mean: float = 0.0, std: float = 1.0) -> Array:
    """Normal with this mean and standard deviation."""
    draws = generator().standard_normal(array.shape, dtype=np.float32)
    draws *= np.float32(std)
    draws += np.float32(mean)
    array[...] = draws
    return array


def constant_(array: Array, value: float) -> Array:
    """One value."""
    array[...] = value
    return array


def gain(nonlinearity: str, slope: float = 0.01) -> float:
    """Factor that keeps the variance through a nonlinearity."""
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
    }
    return gains[nonlinearity]


def kaiming_uniform_(array: Array, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Array:
    """Uniform with variance gain² / fan (He et al. 2015); `a` is the slope of the leaky ReLU."""
    bound = math.sqrt(3) * gain(nonlinearity, a) / math.sqrt(fans(array)[mode == "fan_out"])
    return uniform_(array, -bound, bound)


def kaiming_normal_(array: Array, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Array:
    """Normal with variance gain² / fan (He et al. 2015)."""
    return normal_(array, 0.0, gain(nonlinearity, a) / math.sqrt(fans(array)[mode == "fan_out"]))


def xavier_uniform_(array: Array, gain: float = 1.0) -> Array:
    """Uniform with variance 2 gain² / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(fans(array)))
    return uniform_(array, -bound, bound)


def default_weight(shape: tuple[int, ...]) -> Array:
    """A weight as PyTorch's convolutions and dense layers start with: Kaiming uniform with a = √5, so ±1/√fan_in."""
    return kaiming_uniform_(np.empty(shape, np.float32), a=math.sqrt(5))


def default_bias(size: int, fan_in: int) -> Array:
    """A bias as PyTorch's convolutions and dense layers start with: uniform within ±1/√fan_in."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return uniform_(np.empty(size, np.float32), -bound, bound)
