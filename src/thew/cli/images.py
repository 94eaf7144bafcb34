"""From pictures to a network's input: resize, crop, scale.

A preset holds what a family of networks was trained with. The geometry is the usual one for evaluation: the short
side resized to size / crop with bilinear filtering, then the centre cut out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from thew.errors import InputError, UnsupportedError
from thew.ir.graph import Array

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True)
class Preprocess:
    """x ↦ (x · scale - mean) / std on 0..255, channel by channel, in this order of channels."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    channels: str = "rgb"
    crop: float = 0.875

    def apply(self, picture: Array) -> Array:
        """(h, w, c) of 0..255 to (c, h, w) float32."""
        if self.channels == "bgr":
            picture = picture[..., ::-1]
        scaled = (picture.astype(np.float32) * np.float32(self.scale) - np.asarray(self.mean, np.float32)) / np.asarray(
            self.std, np.float32
        )
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), dtype=np.float32)


PRESETS: Mapping[str, Preprocess] = MappingProxyType(
    {
        "imagenet": Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1 / 255),
        "tf": Preprocess((128.0,), (128.0,)),
        "caffe": Preprocess((104.0, 117.0, 123.0), channels="bgr"),
        "unit": Preprocess(scale=1 / 255),
        "none": Preprocess(),
    }
)


def guess(shape: tuple[int, ...], classes: int) -> str:
    """The preset that a network most likely wants, from its input (n, c, h, w) and its number of classes."""
    if classes == 1001:
        return "tf"  # TensorFlow's nets count a background class
    if shape[1] == 1:
        return "none"
    return "caffe" if shape[2] == 227 else "imagenet"  # 227 is the size of Caffe's nets


def read(path: Path, shape: tuple[int, ...], preprocess: Preprocess) -> Array:
    """One picture as (c, h, w) float32 for a network of input (n, c, h, w).

    Raises:
        UnsupportedError: Pillow is not installed.
        InputError: the file is no picture.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UnsupportedError(
            f"image '{path}': needs Pillow, which is not installed; pip install 'thew[images]'"
        ) from None
    _, channels, height, width = shape
    if channels not in (1, 3):
        raise InputError(
            f"image '{path}': the model must take 1 or 3 channels, got {channels}; give a .npy file instead"
        )
    try:
        with Image.open(path) as opened:
            picture = opened.convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as failure:
        raise InputError(
            f"image '{path}': must be a picture that Pillow reads, got {failure}; check the file"
        ) from None
    if picture.size != (width, height):
        crop = preprocess.crop if min(height, width) > 64 else 1.0  # tiny nets see the whole picture
        picture = _fit(picture, width, height, crop)
    array = np.asarray(picture)
    return preprocess.apply(array[..., None] if array.ndim == 2 else array)


def _fit(picture, width: int, height: int, crop: float):  # type: ignore[no-untyped-def]  # Pillow is optional
    """Resizes so that (width, height) / crop fits within, and cuts out the centre."""
    from PIL import Image

    factor = max(round(width / crop) / picture.width, round(height / crop) / picture.height)
    wide, high = max(width, round(picture.width * factor)), max(height, round(picture.height * factor))
    picture = picture.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (wide - width) // 2, (high - height) // 2
    return picture.crop((left, top, left + width, top + height))
