"""Dense layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from thew.ir.graph import Array
from thew.nn import functional, init
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class Linear(Module):
    """x weightᵀ + bias, with weights (out_features, in_features), for x of shape (…, in_features).

    Example:
        >>> from thew import nn
        >>> nn.Linear(4, 2).weight.shape
        (2, 4)
    """

    weight: Array
    bias: Array | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_parameter("weight", init.default_weight((out_features, in_features)))
        self.register_parameter("bias", init.default_bias(out_features, in_features) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in_features) to (…, out_features)."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.in_features}, {self.out_features}" + (", bias=False" if self.bias is None else "")


class Embedding(Module):
    """Rows of a table (num_embeddings, embedding_dim) by number, for integers of any shape.

    Example:
        >>> from thew import nn
        >>> nn.Embedding(10, 4).weight.shape
        (10, 4)
    """

    weight: Array

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.register_parameter("weight", init.normal_(np.empty((num_embeddings, embedding_dim), np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """(…) integers to (…, embedding_dim)."""
        return x.trace.node("gather", [self.weight, x], axis=0)[0]

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Identity(Module):
    """Gives back what it takes; arguments are ignored, so that it can stand for any layer."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x
