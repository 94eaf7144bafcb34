"""Layers mean what PyTorch's do: small cases against plain loops, written from the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thew import nn
from thew.errors import InputError, ModelError, ShapeError
from thew.ops.interpret import evaluate

EPS = np.finfo(np.float64).eps


def run(module, *arrays, training=False):
    """The module on arrays, through its graph and the NumPy references, in fp64."""
    graph = module.graph(*(array.shape for array in arrays), dtype="fp64", training=training)
    feeds = {value.name: array for value, array in zip(graph.inputs, arrays, strict=True)}
    outputs = evaluate(graph, feeds)
    return [outputs[name] for name in graph.outputs]


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def windows(x, kernel, stride, padding, dilation=(1, 1), fill=0.0):
    """Yields (row, column, window) of a padded (n, c, h, w); rows and columns count outputs."""
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]], constant_values=fill)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    for i in range((x.shape[2] - reach[0]) // stride[0] + 1):
        for j in range((x.shape[3] - reach[1]) // stride[1] + 1):
            top, left = i * stride[0], j * stride[1]
            yield i, j, x[:, :, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "bias"),
    [
        (3, 1, 1, 1, 1, True),
        ((3, 2), (2, 1), (1, 0), 1, 2, True),
        (3, 2, 2, 2, 1, False),
        (1, 1, 0, 1, 4, True),
        (3, 1, 1, 1, 4, False),
    ],
)
def test_conv2d(kernel, stride, padding, dilation, groups, bias):
    layer = nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias)
    x = draw(2, 4, 9, 8)
    (y,) = run(layer, x)
    per = 4 // groups
    for i, j, window in windows(x, layer.kernel_size, layer.stride, layer.padding, layer.dilation):
        for oc in range(8):
            group = oc // (8 // groups)
            part = window[:, group * per : (group + 1) * per]
            weight = layer.weight[oc].astype(np.float64)
            expected = (part * weight).sum((1, 2, 3)) + (0.0 if layer.bias is None else layer.bias[oc])
            bound = np.abs(part * weight).sum((1, 2, 3)) + 1
            assert np.all(np.abs(y[:, oc, i, j] - expected) <= 4 * weight.size * EPS * bound)


def test_conv2d_same_keeps_the_size_and_pads_after():
    x = draw(1, 2, 6, 7)
    even = nn.Conv2d(2, 3, 4, padding="same", bias=False)
    (y,) = run(even, x)
    assert y.shape == (1, 3, 6, 7)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 2), (1, 2)])
    expected = (padded[:, :, 0:4, 0:4] * even.weight[1]).sum()
    np.testing.assert_allclose(y[0, 1, 0, 0], expected, rtol=1e-12)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_conv2d_padding_modes(mode, numpy_mode):
    layer = nn.Conv2d(2, 2, 3, padding=(1, 2), padding_mode=mode, bias=False)
    plain = nn.Conv2d(2, 2, 3, bias=False)
    plain.load_state_dict(layer.state_dict())
    x = draw(1, 2, 5, 6)
    (y,) = run(layer, x)
    (expected,) = run(plain, np.pad(x, [(0, 0), (0, 0), (1, 1), (2, 2)], mode=numpy_mode))
    np.testing.assert_array_equal(y, expected)


def test_conv1d_is_conv2d_of_one_row():
    layer, flat = nn.Conv1d(3, 4, 3, 2, 1), nn.Conv2d(3, 4, (1, 3), (1, 2), (0, 1))
    flat.load_state_dict({"weight": layer.weight[:, :, None], "bias": layer.bias})
    x = draw(2, 3, 11)
    np.testing.assert_allclose(run(layer, x)[0], run(flat, x[:, :, None])[0][:, :, 0], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("stride", "padding", "output_padding", "groups"), [(1, 0, 0, 1), (2, 1, 1, 2), ((3, 2), 1, (1, 0), 1)]
)
def test_conv_transpose2d_is_the_adjoint_of_conv2d(stride, padding, output_padding, groups):
    turned = nn.ConvTranspose2d(4, 6, 3, stride, padding, output_padding, groups, bias=False)
    x = draw(1, 4, 4, 5)
    (y,) = run(turned, x)
    straight = nn.Conv2d(6, 4, 3, stride, padding, groups=groups, bias=False)
    straight.load_state_dict({"weight": turned.weight})
    z = draw(*y.shape, seed=1)
    (back,) = run(straight, z)
    assert back.shape == x.shape
    np.testing.assert_allclose((y * z).sum(), (x * back).sum(), rtol=1e-11)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 3, 4, 5)])
def test_linear_works_on_the_last_dimension(shape):
    layer = nn.Linear(5, 4)
    x = draw(*shape)
    np.testing.assert_allclose(
        run(layer, x)[0], x @ layer.weight.T.astype(np.float64) + layer.bias, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (1, 1), (1, 2)])
def test_max_pool2d(padding, dilation):
    x = draw(2, 3, 8, 9)
    (y,) = run(nn.MaxPool2d(3, 2, padding, dilation), x)
    for i, j, window in windows(x, (3, 3), (2, 2), (padding,) * 2, (dilation,) * 2, -np.inf):
        np.testing.assert_array_equal(y[:, :, i, j], window.max((2, 3)))


def test_max_pool2d_ceil_mode_keeps_a_partial_window():
    x = draw(1, 1, 6, 6)
    (y,) = run(nn.MaxPool2d(3, 2, ceil_mode=True), x)
    assert y.shape == (1, 1, 3, 3)
    assert y[0, 0, 2, 2] == x[0, 0, 4:, 4:].max()


@pytest.mark.parametrize("include", [True, False])
def test_avg_pool2d_counts_padding_or_not(include):
    x = draw(1, 2, 5, 5)
    (y,) = run(nn.AvgPool2d(3, 2, 1, count_include_pad=include), x)
    corner = x[:, :, :2, :2].sum((2, 3)) / (9 if include else 4)
    np.testing.assert_allclose(y[:, :, 0, 0], corner, rtol=1e-13)


@pytest.mark.parametrize("size", [1, (1, 1), 2, (3, 2), (5, 4), (None, 2), (7, 6)])
def test_adaptive_avg_pool2d_splits_evenly(size):
    x = draw(2, 3, 7, 6)
    (y,) = run(nn.AdaptiveAvgPool2d(size), x)
    pair = size if isinstance(size, tuple) else (size, size)
    parts = [extent if part is None else part for part, extent in zip(pair, (7, 6), strict=True)]
    assert y.shape == (2, 3, *parts)
    for i in range(parts[0]):
        rows = slice(math.floor(i * 7 / parts[0]), math.ceil((i + 1) * 7 / parts[0]))
        for j in range(parts[1]):
            columns = slice(math.floor(j * 6 / parts[1]), math.ceil((j + 1) * 6 / parts[1]))
            np.testing.assert_allclose(y[:, :, i, j], x[:, :, rows, columns].mean((2, 3)), rtol=1e-12, atol=1e-13)


ACTIVATIONS = {
    nn.ReLU: lambda x: np.maximum(x, 0),
    nn.ReLU6: lambda x: np.clip(x, 0, 6),
    nn.Hardswish: lambda x: x * np.clip(x + 3, 0, 6) / 6,
    nn.Hardsigmoid: lambda x: np.clip(x + 3, 0, 6) / 6,
    nn.SiLU: lambda x: x / (1 + np.exp(-x)),
    nn.Mish: lambda x: x * np.tanh(np.log1p(np.exp(x))),
    nn.Sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    nn.Tanh: np.tanh,
    nn.Softplus: lambda x: np.log1p(np.exp(x)),
    nn.LeakyReLU: lambda x: np.where(x > 0, x, 0.01 * x),
    nn.ELU: lambda x: np.where(x > 0, x, np.expm1(x)),
    nn.GELU: lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    nn.PReLU: lambda x: np.where(x > 0, x, 0.25 * x),
    nn.Softmax: lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    nn.LogSoftmax: lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
}


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=lambda layer: layer.__name__)
def test_activation(layer):
    x = draw(3, 4, 5) * 4
    # fp64 throughout; attributes such as hard_sigmoid's 1/6 may have passed through fp32 as ONNX stores them
    np.testing.assert_allclose(run(layer(), x)[0], ACTIVATIONS[layer](x), rtol=1e-6, atol=1e-7)


def test_gelu_by_tanh():
    x = draw(40)
    expected = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(run(nn.GELU("tanh"), x)[0], expected, rtol=1e-12, atol=1e-12)


def test_prelu_by_channel():
    layer = nn.PReLU(3)
    layer.weight[...] = [0.1, 0.2, 0.3]
    x = draw(2, 3, 4, 4)
    slopes = layer.weight.astype(np.float64).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(run(layer, x)[0], np.where(x > 0, x, slopes * x), rtol=1e-12)


def randomised(layer, seed=0):
    generator = np.random.default_rng(seed)
    for array in (*layer.parameters(), *(b for name, b in layer.named_buffers() if b.ndim)):
        array[...] = generator.uniform(0.5, 1.5, array.shape)
    return layer


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.BatchNorm1d, (4, 3)), (nn.BatchNorm1d, (2, 3, 5)), (nn.BatchNorm2d, (2, 3, 4, 5))]
)
def test_batch_norm_uses_running_statistics(layer, shape):
    norm = randomised(layer(3))
    x = draw(*shape)
    mean, var, scale, shift = (
        array.astype(np.float64).reshape(1, 3, *[1] * (len(shape) - 2))
        for array in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    np.testing.assert_allclose(run(norm, x)[0], (x - mean) / np.sqrt(var + 1e-5) * scale + shift, rtol=1e-9, atol=1e-9)


def test_batch_norm_in_training_uses_the_batch():
    norm = randomised(nn.BatchNorm2d(3))
    x = draw(4, 3, 5, 5) * 3 + 1
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-5) * norm.weight.reshape(1, 3, 1, 1) + norm.bias.reshape(1, 3, 1, 1)
    np.testing.assert_allclose(run(norm, x, training=True)[0], expected, rtol=1e-9, atol=1e-9)


def test_layer_norm():
    norm = randomised(nn.LayerNorm((4, 5)))
    x = draw(2, 3, 4, 5)
    mean, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    np.testing.assert_allclose(
        run(norm, x)[0], (x - mean) / np.sqrt(var + 1e-5) * norm.weight + norm.bias, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(groups):
    norm = randomised(nn.GroupNorm(groups, 6))
    x = draw(2, 6, 4, 5)
    parts = x.reshape(2, groups, -1)
    normal = ((parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + 1e-5)).reshape(x.shape)
    expected = normal * norm.weight.reshape(1, 6, 1, 1) + norm.bias.reshape(1, 6, 1, 1)
    np.testing.assert_allclose(run(norm, x)[0], expected, rtol=1e-9, atol=1e-9)


def test_instance_norm():
    x = draw(2, 3, 4, 5)
    mean, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    np.testing.assert_allclose(run(nn.InstanceNorm2d(3), x)[0], (x - mean) / np.sqrt(var + 1e-5), rtol=1e-9, atol=1e-9)


def test_local_response_norm():
    x = draw(1, 5, 2, 2)
    (y,) = run(nn.LocalResponseNorm(3, alpha=0.5, beta=0.75, k=2.0), x)
    squares = (x[:, 1:4] ** 2).sum(1)
    np.testing.assert_allclose(y[:, 2], x[:, 2] / (2.0 + 0.5 / 3 * squares) ** 0.75, rtol=1e-9)


def test_local_response_norm_of_an_even_size_leans_to_earlier_channels():
    """PyTorch's channels c - size / 2 to c + size / 2 - 1, where ONNX has one fewer before and one more behind."""
    x = draw(2, 5, 3, 3)
    (y,) = run(nn.LocalResponseNorm(2, alpha=0.5, beta=0.75, k=2.0), x)
    np.testing.assert_allclose(y[:, 2], x[:, 2] / (2.0 + 0.5 / 2 * (x[:, 1:3] ** 2).sum(1)) ** 0.75, rtol=1e-9)


def test_moving_layers():
    x = draw(2, 4, 3, 3)
    np.testing.assert_array_equal(run(nn.Flatten(), x)[0], x.reshape(2, -1))
    np.testing.assert_array_equal(run(nn.Flatten(0, 1), x)[0], x.reshape(8, 3, 3))
    np.testing.assert_array_equal(run(nn.ZeroPad2d((1, 2, 3, 0)), x)[0], np.pad(x, [(0, 0), (0, 0), (3, 0), (1, 2)]))
    np.testing.assert_array_equal(run(nn.Upsample(2), x)[0], x.repeat(2, 2).repeat(2, 3))
    shuffled = run(nn.PixelShuffle(2), x)[0]
    assert shuffled.shape == (2, 1, 6, 6)
    assert [shuffled[0, 0, i, j] for i in (0, 1) for j in (0, 1)] == [x[0, c, 0, 0] for c in range(4)]


def test_dropout_is_nothing_outside_training():
    model = nn.Sequential(nn.Dropout(0.5), nn.ReLU())
    assert [node.op for node in model.graph((1, 8)).nodes] == ["relu"]
    assert [node.op for node in model.graph((1, 8), training=True).nodes] == ["dropout", "relu"]


def test_wrong_use_is_refused():
    with pytest.raises(ShapeError, match="groups must divide"):
        nn.Conv2d(3, 8, 3, groups=2)
    with pytest.raises(InputError, match="p must be in"):
        nn.Dropout(1.5)
    with pytest.raises(ShapeError, match="same"):
        nn.Sequential(nn.Conv2d(1, 1, 3, 2, "same")).graph((1, 1, 8, 8))
    with pytest.raises(ModelError, match="super"):
        type("Bad", (nn.Module,), {"__init__": lambda self: setattr(self, "fc", nn.Linear(1, 1))})()
    with pytest.raises(ShapeError):
        nn.Linear(5, 2).graph((1, 4))
