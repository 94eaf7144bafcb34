"""What `forward` may write of tensors, against NumPy's meaning of the same."""

from __future__ import annotations

import numpy as np
import pytest

import thew
from thew import nn
from thew.errors import ShapeError
from thew.ops.interpret import evaluate

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)


class Written(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.mean(), X.mean()),
        (lambda x: x.sum(keepdim=True), X.sum(keepdims=True)),
        (lambda x: x.mean((0, -1)), X.mean((0, -1))),
        (lambda x: x.view(x.size(0), -1), X.reshape(2, -1)),
        (lambda x: x.reshape((x.shape[0], 4, 3)), X.reshape(2, 4, 3)),
        (lambda x: x.reshape(12, x.size(0)), X.reshape(12, 2)),
        (lambda x: x.permute((2, 0, 1)), X.transpose(2, 0, 1)),
        (lambda x: x.unsqueeze(-1).squeeze(3), X),
        (lambda x: x[:, 0], X[:, 0]),
        (lambda x: x[:, -1, 1:], X[:, -1, 1:]),
        (lambda x: x[:, :, :3:2], X[:, :, :3:2]),
        (lambda x: x.abs().log() + x.exp() * x.clamp(0).sqrt(), np.log(abs(X)) + np.exp(X) * np.sqrt(X.clip(0))),
        (lambda x: x.clamp(max=0.5), X.clip(max=0.5)),
    ],
)
def test_methods(function, expected):
    graph = Written(function).graph(("n", 3, 4))
    (got,) = evaluate(graph, {"input": X}).values()
    assert got.shape == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: x.reshape(-1, x.size(0)).reshape(x.size(0), -1).view(x.size(0), x.size(0), -1),
            "at most one extent",
        ),
        (lambda x: x[0, 0, 0, 0], "numbers and slices, up to 3"),
        (lambda x: x[[0, 1]], "numbers and slices"),
        (lambda x: x[:, ::-1], "steps must be at least 1"),
        (lambda x: list(x), "cannot be gone through"),
    ],
)
def test_what_cannot_be_traced_is_refused(function, message):
    with pytest.raises(ShapeError, match=message):
        Written(function).graph(("n", 3, 4))


def test_a_loss_as_pytorch_writes_it():
    trainer = thew.Trainer(nn.Linear(4, 2), loss=lambda p, t: ((p - t) ** 2).mean(), input_shape=(4,), precision="fp64")
    x, y = np.ones((3, 4)), np.zeros((3, 2))
    prediction = trainer.predict(x)
    np.testing.assert_allclose(trainer.step(x, y), (prediction**2).mean(), rtol=1e-12)
