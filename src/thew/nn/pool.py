"""Pooling layers; the stride defaults to the window, as in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

from thew.nn import functional
from thew.nn.functional import Extent
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class _MaxPool(Module):
    """Maximum over windows."""

    rank: int

    def __init__(
        self,
        kernel_size: Extent,
        stride: Extent | None = None,
        padding: Extent = 0,
        dilation: Extent = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, spatial …)."""
        return functional.max_pool(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.rank
        )

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Maximum over windows of (n, c, length)."""

    rank = 1


class MaxPool2d(_MaxPool):
    """Maximum over windows of (n, c, h, w)."""

    rank = 2


class MaxPool3d(_MaxPool):
    """Maximum over windows of (n, c, depth, h, w)."""

    rank = 3


class AvgPool2d(Module):
    """Mean over windows of (n, c, h, w)."""

    def __init__(
        self,
        kernel_size: Extent,
        stride: Extent | None = None,
        padding: Extent = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w)."""
        return functional.avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AdaptiveAvgPool2d(Module):
    """Mean over windows that split (h, w) of (n, c, h, w) into `output_size` parts; None keeps an extent."""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w)."""
        return functional.adaptive_avg_pool2d(x, self.output_size)
