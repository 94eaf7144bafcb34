"""Activations: layers without state, save PReLU's slopes.

`inplace` is taken for PyTorch's sake; in a graph it means nothing.
"""

from __future__ import annotations

import numpy as np

from thew.ir.graph import Array
from thew.nn import functional
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class _Plain(Module):
    """An activation without arguments."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class ReLU(_Plain):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.relu(x)


class ReLU6(_Plain):
    """min(max(x, 0), 6)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.relu6(x)


class Hardswish(_Plain):
    """x min(max(x + 3, 0), 6) / 6."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.hardswish(x)


class Hardsigmoid(_Plain):
    """min(max(x + 3, 0), 6) / 6."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.hardsigmoid(x)


class SiLU(_Plain):
    """x times the sigmoid of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.silu(x)


class Mish(_Plain):
    """x tanh(ln(1 + eˣ))."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.mish(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.tanh(x)


class Softplus(Module):
    """ln(1 + eˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.softplus(x)


class LeakyReLU(Module):
    """x where positive, else `negative_slope` x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """x where positive, else `alpha` (eˣ - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.elu(x, self.alpha)


class GELU(Module):
    """x times the normal distribution function of x; `approximate` is ``none`` or ``tanh``."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.gelu(x, self.approximate)


class PReLU(Module):
    """x where positive, else a trained slope times x: one slope, or one a channel."""

    weight: Array

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.register_parameter("weight", np.full(num_parameters, init, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, …)."""
        return functional.prelu(x, self.weight)


class Softmax(Module):
    """eˣ over its sum along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.softmax(x, self.dim)


class LogSoftmax(Module):
    """Logarithm of the softmax along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return functional.log_softmax(x, self.dim)
