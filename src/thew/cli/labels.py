"""Names of classes, from a file: one name a line, a JSON list or mapping, or a CSV file with columns ``label`` and
``name``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from thew.errors import InputError

BACKGROUND = 1001  # TensorFlow's ImageNet nets count the background as class 0


def read_labels(path: Path) -> Mapping[int, str]:
    """Class → name. Raises InputError where the file has none of the known forms."""
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".json":
            return _from_json(json.loads(text))
        if path.suffix == ".csv":
            return {int(row["label"]): row["name"].replace("_", " ") for row in csv.DictReader(text.splitlines())}
    except (KeyError, ValueError, TypeError) as failure:
        raise InputError(
            f"labels '{path}': must map class numbers to names, got {failure!r}; give one name a line"
        ) from None
    return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))


def _from_json(value: object) -> Mapping[int, str]:
    if isinstance(value, list):
        return {index: str(name) for index, name in enumerate(value)}
    if isinstance(value, dict):
        return {int(key): str(name[-1] if isinstance(name, list) else name) for key, name in value.items()}
    raise ValueError(f"a {type(value).__name__}")


def default_labels(classes: int) -> Mapping[int, str]:
    """ImageNet's names for a network of 1000 classes, or 1001 with the background; else none."""
    if classes not in (BACKGROUND - 1, BACKGROUND):
        return {}
    return read_labels(Path(__file__).with_name("imagenet.txt"))


def offset(classes: int, labels: Mapping[int, str]) -> int:
    """How far a network's outputs are ahead of the labels: 1 where it has a background class that the labels lack."""
    return 1 if classes == BACKGROUND and max(labels, default=0) < BACKGROUND - 1 else 0
