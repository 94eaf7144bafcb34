"""Normalisation layers.

Batch norm keeps PyTorch's state (running_mean, running_var, num_batches_tracked). In a training graph its node has
ONNX's three outputs (result, next mean, next variance): `momentum` there counts the old value, 1 - PyTorch's.
ONNX keeps the batch's biased variance, PyTorch the unbiased one: whoever stores it multiplies by n / (n - 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thew.ir.graph import Array
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class _BatchNorm(Module):
    """Batch norm (Ioffe and Szegedy 2015) over all dimensions but the second."""

    weight: Array | None
    bias: Array | None
    running_mean: Array
    running_var: Array
    num_batches_tracked: Array

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.register_parameter("weight", np.ones(num_features, np.float32) if affine else None)
        self.register_parameter("bias", np.zeros(num_features, np.float32) if affine else None)
        self.register_buffer("running_mean", np.zeros(num_features, np.float32))
        self.register_buffer("running_var", np.ones(num_features, np.float32))
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, …), unchanged in shape."""
        weight = np.ones(self.num_features, np.float32) if self.weight is None else self.weight
        bias = np.zeros(self.num_features, np.float32) if self.bias is None else self.bias
        inputs = [x, weight, bias, self.running_mean, self.running_var]
        if not self.training:
            return x.trace.node("batch_normalization", inputs, epsilon=self.eps)[0]
        return x.trace.node(
            "batch_normalization", inputs, 3, epsilon=self.eps, momentum=1 - self.momentum, training_mode=1
        )[0]

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"


class BatchNorm1d(_BatchNorm):
    """Batch norm of (n, c) or (n, c, length)."""


class BatchNorm2d(_BatchNorm):
    """Batch norm of (n, c, h, w)."""


class BatchNorm3d(_BatchNorm):
    """Batch norm of (n, c, depth, h, w)."""


class LayerNorm(Module):
    """Normalises over the last dimensions, those of `normalized_shape` (Ba et al. 2016)."""

    weight: Array | None
    bias: Array | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps = shape, eps
        self.register_parameter("weight", np.ones(shape, np.float32) if elementwise_affine else None)
        self.register_parameter("bias", np.zeros(shape, np.float32) if elementwise_affine and bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """(…, normalized_shape), unchanged in shape."""
        weight = np.ones(self.normalized_shape, np.float32) if self.weight is None else self.weight
        return x.op("layer_normalization", weight, self.bias, axis=-len(self.normalized_shape), epsilon=self.eps)


class GroupNorm(Module):
    """Normalises each of `num_groups` groups of channels of each sample (Wu and He 2018)."""

    weight: Array | None
    bias: Array | None

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.register_parameter("weight", np.ones(num_channels, np.float32) if affine else None)
        self.register_parameter("bias", np.zeros(num_channels, np.float32) if affine else None)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, …), unchanged in shape."""
        weight = np.ones(self.num_channels, np.float32) if self.weight is None else self.weight
        bias = np.zeros(self.num_channels, np.float32) if self.bias is None else self.bias
        return x.op("group_normalization", weight, bias, num_groups=self.num_groups, epsilon=self.eps)


class InstanceNorm2d(Module):
    """Normalises each channel of each sample of (n, c, h, w) (Ulyanov et al. 2016)."""

    weight: Array | None
    bias: Array | None

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        self.num_features, self.eps = num_features, eps
        self.register_parameter("weight", np.ones(num_features, np.float32) if affine else None)
        self.register_parameter("bias", np.zeros(num_features, np.float32) if affine else None)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w), unchanged in shape."""
        weight = np.ones(self.num_features, np.float32) if self.weight is None else self.weight
        bias = np.zeros(self.num_features, np.float32) if self.bias is None else self.bias
        return x.op("instance_normalization", weight, bias, epsilon=self.eps)


class LocalResponseNorm(Module):
    """Divides by a power of the squares of `size` neighbouring channels (Krizhevsky et al. 2012)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, …), unchanged in shape. The op's window of an even size leans to later channels, PyTorch's to earlier
        ones: it is the op's on the channels in reverse order.
        """
        how = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "bias": self.k}
        if self.size % 2:
            return x.op("lrn", **how)
        reverse = np.arange(int(x.shape[1]))[::-1].copy()
        return x.op("gather", reverse, axis=1).op("lrn", **how).op("gather", reverse, axis=1)
