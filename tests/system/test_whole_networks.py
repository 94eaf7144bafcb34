"""Whole networks of the zoo, small images, against the NumPy interpreter: also what the emulated cores run."""

import numpy as np
import pytest

import thew
from thew import models
from thew.ops.interpret import evaluate

# Name, image (c, h, w), layers that add up products in a row, the longest such sum.
NETWORKS = [
    ("mobilenet_v2", (3, 64, 64), 53, 1280),
    ("resnet18", (3, 48, 48), 21, 9 * 512),
    ("squeezenet1_1", (3, 64, 64), 26, 9 * 64),
    ("lenet5", (1, 28, 28), 5, 400),
]


@pytest.mark.parametrize(("name", "image", "layers", "longest"), NETWORKS, ids=lambda value: str(value))
def test_network_matches_the_interpreter(name, image, layers, longest):
    graph = getattr(models, name)(num_classes=10, seed=0).eval().graph((1, *image))
    x = np.random.default_rng(1).standard_normal((1, *image)).astype(np.float32)
    session = thew.InferenceSession(graph, threads=1)
    (got,) = session.run(None, {session.get_inputs()[0].name: x})
    (want,) = evaluate(graph, {graph.inputs[0].name: x}).values()
    # Rounding errors of a sum of K products grow as sqrt(K) on average (Higham 2002, §2.8), and add up over the layers.
    bound = np.finfo(np.float32).eps * layers * np.sqrt(longest) * np.abs(want).max()
    assert np.isfinite(got).all() and np.abs(want).max() > 0
    np.testing.assert_allclose(got, want, rtol=0, atol=bound)
    assert session.plan.steps, "the whole network must be one native plan"
