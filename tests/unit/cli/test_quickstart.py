"""What quickstart feeds its networks."""

from __future__ import annotations

import numpy as np

from thew import nn
from thew.cli.quickstart import calibrate, difference, pictures
from thew.ops.interpret import evaluate


def test_pictures_are_seeded_normal_and_not_noise():
    images = pictures(3, 3, 32, 0)
    assert images.shape == (3, 3, 32, 32)
    assert images.dtype == np.float32
    assert abs(images.mean()) < 1e-5
    assert abs(images.std() - 1) < 1e-5
    np.testing.assert_array_equal(images, pictures(3, 3, 32, 0))
    assert not np.array_equal(images, pictures(3, 3, 32, 1))
    neighbours = np.corrcoef(images[..., :-1].ravel(), images[..., 1:].ravel())[0, 1]
    assert neighbours > 0.5  # independent pixels would have 0 ± 0.02


def test_calibrated_batch_norms_give_mean_0_and_variance_1():
    with nn.init.seeded(0):
        first, second = nn.BatchNorm2d(4), nn.BatchNorm2d(5)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), first, nn.ReLU(), nn.Conv2d(4, 5, 3), second)
    images = pictures(4, 3, 16, 0)
    calibrate(model, images)
    graph = model.graph(images.shape, dtype="fp64")
    norms = [node.outputs[0] for node in graph.nodes if node.op == "batch_normalization"]
    for value in evaluate(graph.replace(outputs=tuple(norms)), {"input": images.astype(np.float64)}).values():
        # Statistics are kept in fp32, of sums of 4 · 14 · 14 elements; epsilon 1e-5 takes a little off the variance.
        np.testing.assert_allclose(value.mean((0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(value.var((0, 2, 3)), 1, atol=1e-3)


def test_differences_are_relative_and_over_common_samples():
    assert difference(np.array([[1.0], [9.0]]), np.array([[2.0]])) == 0.5
