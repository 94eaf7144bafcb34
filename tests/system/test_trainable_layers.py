"""Every layer can be trained through: the loss of a small network around it falls, in fp64 and in mixed precision."""

from __future__ import annotations

import numpy as np
import pytest

import thew
from thew import nn, optim
from thew.nn import functional as F

LAYERS = {
    "conv1d": ((4, 9), lambda: nn.Conv1d(4, 4, 3, padding=1)),
    "conv2d grouped": ((4, 6, 6), lambda: nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)),
    "conv2d depthwise": ((4, 6, 6), lambda: nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4)),
    "conv3d": ((4, 3, 4, 4), lambda: nn.Conv3d(4, 4, 3, padding=1)),
    "conv3d grouped": ((4, 3, 4, 4), lambda: nn.Conv3d(4, 4, (2, 3, 1), stride=(1, 2, 1), padding=(1, 1, 0), groups=2)),
    "conv transpose": ((4, 3, 3), lambda: nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)),
    "linear": ((7, 5), lambda: nn.Linear(5, 4)),
    "batch norm 1d": ((6,), lambda: nn.BatchNorm1d(6)),
    "batch norm 2d": ((4, 3, 3), lambda: nn.BatchNorm2d(4)),
    "batch norm 3d": ((4, 2, 3, 3), lambda: nn.BatchNorm3d(4)),
    "instance norm": ((4, 5, 5), lambda: nn.InstanceNorm2d(4, affine=True)),
    "layer norm": ((4, 5), lambda: nn.LayerNorm((4, 5))),
    "group norm": ((4, 3, 3), lambda: nn.GroupNorm(2, 4)),
    "local response norm": ((6, 3, 3), lambda: nn.LocalResponseNorm(4)),
    "dropout": ((8,), lambda: nn.Dropout(0.1)),
    "max pool": ((3, 6, 6), lambda: nn.MaxPool2d(3, 2, 1)),
    "max pool 3d": ((3, 4, 6, 6), lambda: nn.MaxPool3d(3, 2, 1)),
    "average pool": ((3, 6, 6), lambda: nn.AvgPool2d(3, 2, 1)),
    "global pool": ((6, 4, 4), lambda: nn.AdaptiveAvgPool2d(1)),
    "adaptive pool": ((3, 5, 5), lambda: nn.AdaptiveAvgPool2d(3)),
    "upsample": ((2, 3, 3), lambda: nn.Upsample(2)),
    "upsample, smooth": ((2, 3, 3), lambda: nn.Upsample(2, "bilinear")),
    "upsample by a fraction": ((2, 4, 4), lambda: nn.Upsample(1.5)),
    "padded with what is there": ((2, 5, 5), lambda: nn.Conv2d(2, 4, 3, padding=2, padding_mode="reflect")),
    "pixel shuffle": ((4, 3, 3), lambda: nn.PixelShuffle(2)),
    "zero pad": ((2, 3, 3), lambda: nn.ZeroPad2d((1, 2, 0, 1))),
    **{
        kind.__name__: ((8,), kind)
        for kind in (
            nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.LeakyReLU, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.SiLU,
            nn.Sigmoid, nn.Softplus, nn.Tanh,
        )
    },
    "softmax": ((8,), lambda: nn.Softmax(1)),
    "log softmax": ((8,), lambda: nn.LogSoftmax(1)),
}  # fmt: skip


class Around(nn.Module):
    """A parameter before the layer, so that its gradient must pass, and a product behind it."""

    def __init__(self, shape, layer, width) -> None:
        super().__init__()
        self.scale, self.layer = nn.Linear(shape[-1], shape[-1]), layer
        self.head = nn.Linear(width, 3)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return self.head(self.layer(self.scale(x)).flatten(1))


def made(name):
    shape, build = LAYERS[name]
    with nn.init.seeded(0):
        layer = build()
        graph = nn.Sequential(layer).graph((4, *shape))
        result = graph.type_of(graph.outputs[0])
        return shape, Around(shape, layer, int(np.prod(result.static_shape[1:])))


@pytest.mark.parametrize("precision", ["fp64", "fp32", "mixed-bf16"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_can_be_trained(name, precision):
    shape, model = made(name)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, *shape)), random.integers(0, 3, 4)
    trainer = thew.Trainer(model, optimizer=optim.Adam(lr=0.02), input_shape=shape, precision=precision)
    before = {key: array.copy() for key, array in model.named_parameters()}
    losses = [trainer.step(x, y) for _ in range(25)]
    assert np.isfinite(losses).all() and min(losses[-5:]) < 0.75 * losses[0]
    assert all(not np.array_equal(array, before[key]) for key, array in model.named_parameters())


def test_embedding(tmp_path):
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(12, 6), nn.Linear(6, 3)

        def forward(self, x: nn.Tensor) -> nn.Tensor:
            return self.head(F.relu(self.table(x).mean(1)))

    random = np.random.default_rng(0)
    x, y = random.integers(0, 12, (8, 5)), random.integers(0, 3, 8)
    with nn.init.seeded(0):
        model = Words()
    trainer = thew.Trainer(model, optimizer=optim.Adam(lr=0.05), input_shape=(5,), input_dtype="int64")
    losses = [trainer.step(x, y) for _ in range(30)]
    assert losses[-1] < 0.3 * losses[0]
    trainer.save(tmp_path / "a.ckpt")
    assert thew.Trainer.resume(tmp_path / "a.ckpt").step(x, y) == trainer.step(x, y)


def test_imported_networks_can_be_tuned(tmp_path):
    with nn.init.seeded(0):
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(4 * 36, 3)
        )
    path = tmp_path / "a.onnx"
    thew.export_onnx(model, path, ("n", 1, 8, 8))
    imported = thew.from_onnx(path)
    assert {"0.weight", "0.bias", "1.weight", "1.bias", "5.weight", "5.bias"} == {
        n for n, _ in imported.named_parameters()
    }
    imported.freeze("0.weight", "0.bias", "1.weight", "1.bias")
    random = np.random.default_rng(0)
    x, y = random.normal(size=(6, 1, 8, 8)).astype(np.float32), random.integers(0, 3, 6)
    trainer = thew.Trainer(imported, optimizer=optim.SGD(lr=0.1), input_shape=(1, 8, 8))
    assert trainer.predict(x) == pytest.approx(thew.InferenceSession(path).run(None, {"input": x})[0], abs=1e-5)
    losses = [trainer.step(x, y) for _ in range(15)]
    assert losses[-1] < 0.5 * losses[0]
    state = imported.state_dict()
    np.testing.assert_array_equal(state["0.weight"], model.state_dict()["0.weight"])
    np.testing.assert_array_equal(state["1.running_mean"], model.state_dict()["1.running_mean"])
    thew.export_onnx(imported, tmp_path / "b.onnx")
    (tuned,) = thew.InferenceSession(tmp_path / "b.onnx").run(None, {"input": x})
    np.testing.assert_allclose(tuned, trainer.predict(x), rtol=0, atol=1e-5)


QUICK = ("mnist_cnn8", "resnet8_cifar10_f32", "resnet8_cifar10_int8_qdq")
SLOW = (
    "mobilenet_v1_0.5_160_f32", "mobilenet_v1_0.5_160_uint8_qdq", "mobilenet_v2_1.0_224_f32",
    "mobilenet_v2_1.0_224_uint8_qdq", "resnet20_cifar10", "squeezenet_v1.1",
)  # fmt: skip


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_new_heads_on_known_networks(shared_data, name):
    """All but the last layer, frozen, under a new head; float networks are tuned whole as well."""
    path = shared_data / "models" / f"{name}.onnx"
    imported = thew.from_onnx(path)
    shape = thew.InferenceSession(path).get_inputs()[0].shape[1:]
    random = np.random.default_rng(0)
    x, y = random.uniform(0, 1, (4, *shape)).astype(np.float32), np.arange(4) % 3
    is_float = "qdq" not in name
    body = imported.body() if is_float else imported
    graph = body.graph((4, *shape))
    (features,) = thew.InferenceSession(graph).run(None, {graph.inputs[0].name: x})
    with nn.init.seeded(0):
        model = nn.Sequential(body.freeze(), nn.Flatten(), nn.Linear(features[0].size, 3))
    # A step of Adam moves every weight by lr: an output by no more than a tenth.
    lr = 0.1 / float(np.abs(features.reshape(4, -1)).sum(1).max())
    trainer = thew.Trainer(model, optimizer=optim.Adam(lr=lr), input_shape=shape)
    before = {name: array.copy() for name, array in body.state_dict().items()}
    losses = [trainer.step(x, y) for _ in range(4)]
    assert losses[-1] < losses[0]
    assert all(np.array_equal(array, before[name]) for name, array in body.state_dict().items())
    if is_float:
        body.unfreeze()
        whole = thew.Trainer(model, optimizer=optim.Adam(lr=1e-4), input_shape=shape)
        assert np.isfinite(whole.step(x, (y + 1) % 3))
        assert any(not np.array_equal(array, before[name]) for name, array in body.state_dict().items())


def test_layer_and_group_norms_train_in_one_native_call():
    """Their gradients are made of ops that have kernels."""
    with nn.init.seeded(0):
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.LayerNorm(512),
            nn.Linear(512, 4),
        )  # fmt: skip
    trainer = thew.Trainer(model, optimizer=optim.SGD(lr=0.05), input_shape=(1, 8, 8))
    random = np.random.default_rng(0)
    x, y = random.normal(size=(8, 1, 8, 8)), random.integers(0, 4, 8)
    losses = [trainer.step(x, y) for _ in range(4)]
    assert trainer.prepare(8).executable.single is not None and losses[-1] < losses[0] / 4
