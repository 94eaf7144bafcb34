"""`ImageFolder`: pictures in one folder a class, decoded by Pillow in threads of its own, ahead of the step."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from thew.data.images import Preparation
from thew.errors import InputError, UnsupportedError
from thew.ir.graph import Array

IMAGENET = Preparation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MOST_THREADS = 64
_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")


class ImageFolder:
    """Samples by number from ``folder/<class>/<picture>``; classes are numbered in order of their names.

    Args:
        folder: where the classes' folders are.
        size: height and width of every sample: the picture is scaled so that it covers them, and the middle is taken.
        preparation: normalisation and augmentation; by default the statistics of ImageNet.
        threads: that decode.

    Raises:
        InputError: there is no class, or no picture.
        UnsupportedError: Pillow is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        size: tuple[int, int] = (224, 224),
        preparation: Preparation = IMAGENET,
        threads: int = 2,
    ) -> None:
        if not 1 <= threads <= MOST_THREADS:
            raise InputError(f"ImageFolder: threads must be 1 to {MOST_THREADS}, got {threads}")
        root = Path(folder)
        self.classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir())) if root.is_dir() else ()
        found = [
            (path, number)
            for number, name in enumerate(self.classes)
            for path in sorted((root / name).rglob("*"))
            if path.suffix.lower() in _ENDINGS
        ]
        if not found:
            raise InputError(f"data '{root}': must hold one folder of pictures for each class, got none")
        self.paths = [path for path, _ in found]
        self.labels = np.array([number for _, number in found], np.int64)
        self.size, self.shape = size, (3, *size)
        self.preparation, self.threads = preparation, threads

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, numbers: Array, epoch: int) -> tuple[Array, Array]:
        """Those pictures, decoded, normalised and augmented, and their labels."""
        return self.submit(numbers, epoch)()

    def submit(self, numbers: Array, epoch: int) -> Callable[[], tuple[Array, Array]]:
        """Begins to decode those pictures; the result waits for them, and gives them with their labels."""
        decoding = [self._decoders.submit(self._decoded, self.paths[number]) for number in numbers]

        def wait() -> tuple[Array, Array]:
            pictures = np.stack([picture.result() for picture in decoding])
            return self.preparation.apply(pictures, numbers, epoch), self.labels[numbers]

        return wait

    @cached_property
    def _decoders(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, "thew-data")

    def _decoded(self, path: Path) -> Array:
        try:
            from PIL import Image
        except ImportError as error:
            raise UnsupportedError("ImageFolder: needs Pillow; pip install 'thew[images]'") from error
        h, w = self.size
        with Image.open(path) as picture:
            scale = max(h / picture.height, w / picture.width)
            wanted = (max(w, round(picture.width * scale)), max(h, round(picture.height * scale)))
            fitted = picture.convert("RGB").resize(wanted)
        left, top = (fitted.width - w) // 2, (fitted.height - h) // 2
        return np.asarray(fitted.crop((left, top, left + w, top + h)), np.uint8).transpose(2, 0, 1)
