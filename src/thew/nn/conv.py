"""Convolutions, with PyTorch's weights: (oc, c/groups, kernel …), in a transposed one (c, oc/groups, kernel …)."""

from __future__ import annotations

from math import prod

from thew.errors import ShapeError, UnsupportedError
from thew.ir.graph import Array
from thew.nn import functional, init
from thew.nn.functional import Extent, extents
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class _Conv(Module):
    """What convolutions of every rank have in common: arguments, parameters and their start."""

    rank: int
    weight: Array
    bias: Array | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Extent,
        stride: Extent = 1,
        padding: Extent | str = 0,
        dilation: Extent = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{type(self).__name__}: groups must divide both channel counts, got {groups} for {in_channels} and "
                f"{out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = extents(kernel_size, self.rank, "kernel_size")
        self.stride = extents(stride, self.rank, "stride")
        self.padding = padding if isinstance(padding, str) else extents(padding, self.rank, "padding")
        self.dilation = extents(dilation, self.rank, "dilation")
        self.padding_mode = padding_mode
        weight = init.default_weight((*self._weight_channels(), *self.kernel_size))
        self.register_parameter("weight", weight)
        fan_in = weight.shape[1] * prod(self.kernel_size)
        self.register_parameter("bias", init.default_bias(out_channels, fan_in) if bias else None)

    def _weight_channels(self) -> tuple[int, int]:
        return self.out_channels, self.in_channels // self.groups

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, spatial …) to (n, oc, spatial …)."""
        padding: str | tuple[int, ...] = self.padding
        if self.padding_mode != "zeros":
            if isinstance(padding, str):
                raise UnsupportedError(
                    f"{type(self).__name__}: padding_mode {self.padding_mode!r} needs numeric padding, got {padding!r}"
                )
            sides: list[int] = [side for extent in reversed(padding) for side in (extent, extent)]
            x = functional.pad(x, sides, self.padding_mode)
            padding = (0,) * self.rank
        return functional.conv(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, self.rank)

    def extra_repr(self) -> str:
        """The arguments."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        parts += [f"padding={self.padding}"] if any(self.padding) else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        return ", ".join(parts + (["bias=False"] if self.bias is None else []))


class Conv1d(_Conv):
    """Convolution of (n, c, length)."""

    rank = 1


class Conv2d(_Conv):
    """Convolution of (n, c, h, w).

    Args:
        in_channels: c.
        out_channels: oc.
        kernel_size: (kh, kw), or one number for both; likewise stride, padding and dilation.
        padding: zeros on each side, or ``same`` or ``valid``.
        groups: channels are split into so many groups that do not mix; c of them make a depthwise convolution.
        bias: whether each output channel adds a trained number.
        padding_mode: ``zeros``, ``reflect``, ``replicate`` or ``circular``.

    Raises:
        ShapeError: where groups do not divide the channels.

    Example:
        >>> from thew import nn
        >>> nn.Conv2d(3, 8, 3, stride=2, padding=1).weight.shape
        (8, 3, 3, 3)
    """

    rank = 2


class Conv3d(_Conv):
    """Convolution of (n, c, depth, h, w)."""

    rank = 3


class ConvTranspose2d(_Conv):
    """Transposed convolution of (n, c, h, w): the gradient of `Conv2d` with respect to its input."""

    rank = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Extent,
        stride: Extent = 1,
        padding: Extent = 0,
        output_padding: Extent = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Extent = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.output_padding = extents(output_padding, 2, "output_padding")

    def _weight_channels(self) -> tuple[int, int]:
        return self.in_channels, self.out_channels // self.groups

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, oc, …)."""
        assert not isinstance(self.padding, str)
        return functional.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )
