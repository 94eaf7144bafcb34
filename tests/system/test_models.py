"""Real models on real data: outputs against onnxruntime's, kept beside the models, and accuracy over whole data sets
(slow).

The data's README says how inputs are prepared, what accuracy was measured, and how far outputs may differ.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
import thew.onnx
from thew.dtypes import HALVES

BATCH = 32
FLOAT_POINTS, QUANTISED_POINTS = 0.2, 0.5  # of accuracy, in percent
FEW_STEPS, MOST_STEPS = (
    2,
    6,
)  # how many quantisation steps logits of quantised nets may differ by: 99 in 100 of them, and all


def _crops_input(size: int, prepare: Callable[[Any], Any]) -> Callable[[Path], Any]:
    def inputs(data: Path) -> Any:
        start = (256 - size) // 2
        return prepare(crops(data)[:, start : start + size, start : start + size].astype(np.float32))

    return inputs


def _nchw(images: Any) -> Any:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def centred(images: Any) -> Any:
    """RGB around 0, from -1 to 1."""
    return _nchw((images - 128) / 128)


def bgr(images: Any) -> Any:
    """Caffe's order of channels, less their means."""
    return _nchw(images[..., ::-1] - np.array((104, 117, 123), np.float32))


def standardised(images: Any) -> Any:
    """ImageNet's mean and deviation."""
    mean, deviation = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    return _nchw(((images / 255 - mean) / deviation).astype(np.float32))


@dataclass(frozen=True)
class Case:
    """A model: its data set ("mnist", "cifar10", or an image size), how pictures are prepared, the accuracy
    measured.
    """

    data: str | int
    prepare: Callable[[Any], Any]
    accuracy: float
    is_quantised: bool = False
    is_probability: bool = True  # else logits

    @property
    def labels_from(self) -> int:
        """Nets of 1001 outputs have a background class first."""
        return 1 if self.data in (160, 224) else 0


CASES = {
    "mnist_cnn8": Case("mnist", lambda images: images[:, None], 98.91, is_probability=False),
    "mobilenet_v1_0.5_160_f32": Case(160, centred, 68.6),
    "mobilenet_v1_0.5_160_uint8_qdq": Case(160, centred, 69.4, is_quantised=True),
    "mobilenet_v2_1.0_224_f32": Case(224, centred, 86.8),
    "mobilenet_v2_1.0_224_uint8_qdq": Case(224, centred, 86.6, is_quantised=True),
    "resnet20_cifar10": Case("cifar10", standardised, 91.5, is_probability=False),
    "resnet8_cifar10_f32": Case("cifar10", _nchw, 88.1),
    "resnet8_cifar10_int8_qdq": Case("cifar10", _nchw, 87.7, is_quantised=True),
    "squeezenet_v1.1": Case(227, bgr, 57.6),
}


# Data


def _decoded(residuals: Any) -> Any:
    """The inverse of the data's 2-d gradient coding."""
    images = np.cumsum(np.cumsum(residuals, 1, dtype=np.uint8), 2, dtype=np.uint8)
    images[..., 0] += images[..., 1]
    images[..., 2] += images[..., 1]
    return images


def _array(path: Path, name: str) -> Any:
    """One array of an archive, without loading the others."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file)


@lru_cache(maxsize=1)
def crops(data: Path) -> Any:
    return _decoded(_array(data / "datasets" / "imagenet_crops32.npz", "x_enc").transpose(1, 2, 3, 0))


@lru_cache(maxsize=2)
def test_set(data: Path, name: str) -> tuple[Any, Any]:
    path = data / "datasets" / f"{name}.npz"
    if name == "mnist":
        return _array(path, "x_test").astype(np.float32), _array(path, "y_test")
    return _decoded(_array(path, "x_test_enc").transpose(1, 2, 3, 0)).astype(np.float32), _array(path, "y_test")


test_set.__test__ = False  # type: ignore[attr-defined]


def pictures(data: Path, size: int) -> tuple[Any, Any]:
    """All pictures, resized and cropped as the README says, with their labels."""
    image = pytest.importorskip("PIL.Image")
    paths = sorted((data / "images" / "imagenet500").glob("*.jpg"))
    images = np.empty((len(paths), size, size, 3), np.float32)
    short = round(size / 0.875)
    for index, path in enumerate(paths):
        with image.open(path) as opened:
            picture = opened.convert("RGB")
        scale = short / min(picture.size)
        width, height = (max(round(extent * scale), short) for extent in picture.size)
        left, top = (width - size) // 2, (height - size) // 2
        resized = picture.resize((width, height), image.Resampling.BILINEAR)
        images[index] = np.asarray(resized.crop((left, top, left + size, top + size)))
    return images, np.array([int(path.name.split("_")[0]) for path in paths])


# Tests


def run(session: Any, x: Any) -> Any:
    """All outputs, in batches as large as the model takes."""
    declared = session.get_inputs()[0]
    step = declared.shape[0] if isinstance(declared.shape[0], int) else BATCH
    return np.concatenate([session.run(None, {declared.name: x[i : i + step]})[0] for i in range(0, len(x), step)])


def _logit_difference(probabilities: Any, expected: Any) -> Any:
    """How far what softmax was given differs: softmax takes away a constant for each picture."""
    difference = np.log(np.maximum(probabilities, 1e-12)) - np.log(np.maximum(expected, 1e-12))
    return np.abs(difference - np.median(difference, axis=1, keepdims=True))


def _last_scale(data: Path, name: str) -> float:
    """The quantisation step of the logits."""
    graph = thew.onnx.read(data / "models" / f"{name}.onnx")
    last = [node for node in graph.nodes if node.op == "quantize_linear"][-1]
    return float(graph.constants[last.inputs[1]])


def session_of(data: Path, name: str, precision: str = "fp32") -> Any:
    return thew.InferenceSession(data / "models" / f"{name}.onnx", threads=2, precision=precision)


@pytest.mark.parametrize("name", list(CASES))
def test_outputs_are_those_of_onnxruntime(shared_data: Path, name: str) -> None:
    case = CASES[name]
    expected = _array(shared_data / "expected" / f"{name}.npz", "y")
    if isinstance(case.data, int):
        x = _crops_input(case.data, case.prepare)(shared_data)
    else:
        x = case.prepare(test_set(shared_data, case.data)[0][: len(expected)])
    y = run(session_of(shared_data, name), x).reshape(expected.shape)
    if case.is_quantised:
        steps = _logit_difference(y, expected) / _last_scale(shared_data, name)
        assert np.quantile(steps, 0.99) <= FEW_STEPS + 0.1 and steps.max() <= MOST_STEPS
        behind = expected.max(1) / expected[np.arange(len(y)), y.argmax(1)]
        assert np.log(behind).max() <= FEW_STEPS * _last_scale(shared_data, name) + 0.01
    elif case.is_probability:
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(y.argmax(1), expected.argmax(1))
    else:
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


FLOATS = [name for name, case in CASES.items() if not case.is_quantised]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, "fp32") for name in CASES] + [(name, half) for name in FLOATS for half in ("fp16", "bf16")],
)
def test_accuracy(shared_data: Path, name: str, precision: str) -> None:
    case = CASES[name]
    images, labels = (
        pictures(shared_data, case.data) if isinstance(case.data, int) else test_set(shared_data, case.data)
    )
    session = session_of(shared_data, name, precision)
    starts = range(0, len(images), 4 * BATCH)
    found = np.concatenate([run(session, case.prepare(images[start : start + 4 * BATCH])) for start in starts])
    found = found.reshape(len(images), -1)
    accuracy = 100 * (found[:, case.labels_from :].argmax(1) == labels).mean()
    allowed = QUANTISED_POINTS if case.is_quantised else FLOAT_POINTS
    lost = case.accuracy - accuracy  # 16 bits may turn a few pictures that fp32 has wrong by chance
    is_within = (lost if precision in HALVES else abs(lost)) <= allowed + 1e-9
    assert is_within, f"{accuracy:.2f} % right, {case.accuracy} % expected"


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOATS)
def test_quantised_here_it_is_as_accurate(shared_data: Path, name: str, tmp_path: Path) -> None:
    """On pictures that calibration did not see: within a point of fp32 on the same pictures."""
    case = CASES[name]
    images, labels = (
        pictures(shared_data, case.data) if isinstance(case.data, int) else test_set(shared_data, case.data)
    )
    images, labels = images[:1000], labels[:1000] + case.labels_from
    x = np.concatenate([case.prepare(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])
    calibrates = np.arange(len(x)) % 5 == 0
    found = thew.quantize(
        shared_data / "models" / f"{name}.onnx",
        x[calibrates][:100],
        correct_bias=True,
        validation=(x[~calibrates], labels[~calibrates]),
        threads=2,
        cache=tmp_path / "cache.sqlite",
    )
    assert found.kept == () and found.after is not None and found.before is not None
    assert found.after.share >= found.before.share - 0.01 - 1e-9, f"{found.after}, fp32 {found.before}"
