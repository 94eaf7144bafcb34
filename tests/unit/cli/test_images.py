"""Pictures become inputs: geometry and scaling against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from thew.cli.images import PRESETS, Preprocess, guess, read
from thew.errors import InputError

Image = pytest.importorskip("PIL.Image")


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def gradient(height, width):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / (width - 1), y * 255 / (height - 1), np.full((height, width), 40)], -1).astype(np.uint8)


def test_a_picture_of_the_right_size_is_only_scaled(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    path = save(tmp_path / "a.png", pixels)
    raw = read(path, (1, 3, 100, 100), PRESETS["none"])
    np.testing.assert_array_equal(raw, pixels.transpose(2, 0, 1).astype(np.float32))
    assert raw.flags.c_contiguous
    by_hand = ((pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    np.testing.assert_allclose(read(path, (1, 3, 100, 100), PRESETS["imagenet"]), by_hand, atol=1e-5)
    caffe = (pixels[..., ::-1].astype(float) - [104, 117, 123]).transpose(2, 0, 1)
    np.testing.assert_allclose(read(path, (1, 3, 100, 100), PRESETS["caffe"]), caffe, atol=1e-4)
    np.testing.assert_array_equal(read(path, (1, 3, 100, 100), PRESETS["tf"]), (raw - 128) / 128)


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (90, 500)])
def test_the_centre_of_the_resized_picture_is_cut_out(tmp_path, shape):
    path = save(tmp_path / "a.png", gradient(*shape))
    seen = read(path, (1, 3, 112, 112), PRESETS["none"])
    assert seen.shape == (3, 112, 112)
    scale = 128 / min(shape)  # the short side becomes 112 / 0.875
    for axis, channel in ((1, 0), (0, 1)):  # columns show in red, rows in green
        profile = seen[channel].mean(0 if axis == 1 else 1)
        extent = shape[axis] * scale
        positions = (extent - 112) / 2 + np.arange(112) + 0.5
        # Rounding of pixels, of the resized extent and of the cut: within two steps of the gradient, and one of 8 bits.
        assert np.abs(profile - positions / extent * 255).max() <= 2 * 255 / extent + 1


def test_small_networks_see_the_whole_picture(tmp_path):
    path = save(tmp_path / "a.png", gradient(64, 64))
    seen = read(path, (1, 3, 32, 32), PRESETS["none"])
    assert seen[0, :, 0].max() < 10
    assert seen[0, :, -1].min() > 245


def test_one_channel_is_grey(tmp_path):
    path = save(tmp_path / "a.png", np.full((28, 28, 3), (255, 0, 0), np.uint8))
    np.testing.assert_array_equal(read(path, (1, 1, 28, 28), PRESETS["none"]), np.full((1, 28, 28), 76, np.float32))


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(InputError, match="must be a picture"):
        read(tmp_path / "a.png", (1, 3, 32, 32), Preprocess())
    with pytest.raises(InputError, match="1 or 3 channels, got 4"):
        read(tmp_path / "a.png", (1, 4, 32, 32), Preprocess())


@pytest.mark.parametrize(
    ("shape", "classes", "preset"),
    [
        ((1, 3, 224, 224), 1001, "tf"),
        ((1, 3, 224, 224), 1000, "imagenet"),
        ((1, 3, 227, 227), 1000, "caffe"),
        ((1, 1, 28, 28), 10, "none"),
    ],
)
def test_presets_are_guessed_from_the_model(shape, classes, preset):
    assert guess(shape, classes) == preset
