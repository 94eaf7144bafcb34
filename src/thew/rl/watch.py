"""What a game looks like: pictures for a film, and text for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thew.errors import InputError, UnsupportedError
from thew.ir.graph import Array

FILMS = (".gif", ".mp4")
COLUMNS = 80  # of a terminal


class Film:
    """Writes what an environment renders to a GIF or MP4. Use as a context manager; call before every step.

    Raises:
        InputError: the file's name ends with neither.
        UnsupportedError: imageio is absent, or the environment cannot be rendered.
    """

    def __init__(self, path: Path, fps: int = 30) -> None:
        if path.suffix not in FILMS:
            raise InputError(f"video '{path}': must end with {' or '.join(FILMS)}")
        try:
            import imageio
        except ImportError as error:
            raise UnsupportedError("video: needs imageio; pip install 'thew[rl]'") from error
        timing = {"duration": 1000 / fps, "loop": 0} if path.suffix == ".gif" else {"fps": fps, "macro_block_size": 2}
        self._writer: Any = imageio.get_writer(path, **timing)

    def __call__(self, env: Any, observation: Array) -> None:
        """One picture."""
        try:
            picture = env.render()
        except Exception as error:
            raise UnsupportedError(
                f"video: the environment must render, got {error}; watch it in the terminal"
            ) from error
        self._writer.append_data(np.asarray(picture, np.uint8))

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *failure: object) -> None:
        self._writer.close()


def as_text(observation: Array) -> str:
    """An observation as lines of text: the newest frame in half blocks, or a bar for each number."""
    if observation.ndim == 1:
        return "\n".join(_bar(float(number)) for number in observation)
    frame = observation[-1] if observation.shape[0] <= 4 and observation.shape[1] > 36 else _planes(observation)
    step = max(1, -(-frame.shape[1] // COLUMNS))
    small = frame[::step, ::step]
    if len(small) % 2:
        small = np.concatenate([small, np.zeros_like(small[:1])])
    return "\n".join(
        "".join(f"\x1b[38;5;{232 + a * 23 // 255};48;5;{232 + b * 23 // 255}m▀" for a, b in zip(*pair, strict=True))
        + "\x1b[0m"
        for pair in zip(small[::2].tolist(), small[1::2].tolist(), strict=True)
    )


def _planes(observation: Array) -> Array:
    """Channels of a small image as shades of grey."""
    channels = len(observation)
    shades = (np.arange(channels) + 1)[:, None, None] * (255 // channels)
    return np.asarray((observation.astype(bool) * shades).max(0), np.uint8)


def _bar(number: float, half: int = 20) -> str:
    reach = round(min(abs(number), 1.0) * half)
    left, right = ("█" * reach, "") if number < 0 else ("", "█" * reach)
    return f"{left:>{half}}│{right:<{half}} {number:8.3f}"
