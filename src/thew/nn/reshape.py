"""Layers that move elements and change none."""

from __future__ import annotations

from thew.errors import ShapeError
from thew.nn import functional
from thew.nn.functional import Extent
from thew.nn.module import Module
from thew.nn.tensor import Tensor


class Flatten(Module):
    """Joins dimensions `start_dim` to `end_dim`, both included."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(n, …) to (n, product of the rest)."""
        return x.flatten(self.start_dim, self.end_dim)


class ZeroPad2d(Module):
    """Zeros around height and width: one number, or (left, right, top, bottom)."""

    def __init__(self, padding: Extent) -> None:
        super().__init__()
        self.padding = functional.extents(padding, 4, "ZeroPad2d padding")

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w)."""
        return functional.pad(x, self.padding)


class Upsample(Module):
    """Scales height and width by `scale_factor`; `mode` is ``nearest`` or ``bilinear``."""

    def __init__(self, scale_factor: float | tuple[float, float], mode: str = "nearest") -> None:
        super().__init__()
        pair = scale_factor if isinstance(scale_factor, tuple) else (scale_factor, scale_factor)
        self.scale_factor, self.mode = (float(pair[0]), float(pair[1])), mode

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w)."""
        return functional.interpolate(x, self.scale_factor, self.mode)


class PixelShuffle(Module):
    """(n, c r², h, w) to (n, c, h r, w r) (Shi et al. 2016)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        if upscale_factor < 1:
            raise ShapeError(f"PixelShuffle: upscale_factor must be at least 1, got {upscale_factor}")
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        """(n, c r², h, w)."""
        return x.op("depth_to_space", blocksize=self.upscale_factor, mode="CRD")
