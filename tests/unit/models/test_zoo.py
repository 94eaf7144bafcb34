"""The zoo: parameter counts and names as published, shapes, seeds. Names were written down from torchvision."""

from __future__ import annotations

import numpy as np
import pytest

from thew import models
from thew.errors import UnsupportedError
from thew.ops.interpret import evaluate

PARAMETERS = {
    "lenet5": 61_706,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "nature_cnn": 1_686_180,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "squeezenet1_1": 1_235_496,
    "vgg11": 9_225_610,
    "vgg16": 138_357_544,
}
QUICK = sorted(set(PARAMETERS) - {"vgg16"})


def norm(path):
    return [f"{path}.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]


def resnet_names(depths, convolutions, first_has_downsample):
    names = ["conv1.weight", *norm("bn1")]
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            path = f"layer{stage}.{block}"
            for index in range(1, convolutions + 1):
                names += [f"{path}.conv{index}.weight", *norm(f"{path}.bn{index}")]
            if block == 0 and (stage > 1 or first_has_downsample):
                names += [f"{path}.downsample.0.weight", *norm(f"{path}.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


def mobilenet_v2_names():
    names = ["features.0.0.weight", *norm("features.0.1")]
    for block in range(1, 18):
        path = f"features.{block}.conv"
        inner = 1 if block == 1 else 2  # the first block does not expand
        for index in range(inner):
            names += [f"{path}.{index}.0.weight", *norm(f"{path}.{index}.1")]
        names += [f"{path}.{inner}.weight", *norm(f"{path}.{inner + 1}")]
    return [*names, "features.18.0.weight", *norm("features.18.1"), "classifier.1.weight", "classifier.1.bias"]


def pairs(paths):
    return [f"{path}.{name}" for path in paths for name in ("weight", "bias")]


def squeezenet_names():
    fires = [
        f"features.{i}.{part}" for i in (3, 4, 6, 7, 9, 10, 11, 12) for part in ("squeeze", "expand1x1", "expand3x3")
    ]
    return pairs(["features.0", *fires, "classifier.1"])


TORCHVISION = {
    "resnet18": resnet_names((2, 2, 2, 2), 2, False),
    "resnet34": resnet_names((3, 4, 6, 3), 2, False),
    "resnet50": resnet_names((3, 4, 6, 3), 3, True),
    "mobilenet_v2": mobilenet_v2_names(),
    "squeezenet1_1": squeezenet_names(),
    "vgg11": pairs([f"features.{i}" for i in (0, 3, 6, 8, 11, 13, 16, 18)] + ["classifier"]),
    "vgg16": pairs(
        [f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)]
        + [f"classifier.{i}" for i in (0, 3, 6)]
    ),
}
SHAPES = {
    ("resnet50", "layer2.0.conv1.weight"): (128, 256, 1, 1),
    ("resnet50", "layer2.0.conv2.weight"): (128, 128, 3, 3),
    ("resnet50", "layer2.0.downsample.0.weight"): (512, 256, 1, 1),
    ("resnet50", "fc.weight"): (1000, 2048),
    ("resnet18", "layer4.1.conv2.weight"): (512, 512, 3, 3),
    ("mobilenet_v2", "features.1.conv.0.0.weight"): (32, 1, 3, 3),
    ("mobilenet_v2", "features.2.conv.0.0.weight"): (96, 16, 1, 1),
    ("mobilenet_v2", "features.17.conv.2.weight"): (320, 960, 1, 1),
    ("mobilenet_v2", "features.18.0.weight"): (1280, 320, 1, 1),
    ("squeezenet1_1", "features.12.expand3x3.weight"): (256, 64, 3, 3),
    ("squeezenet1_1", "classifier.1.weight"): (1000, 512, 1, 1),
    ("vgg11", "features.18.weight"): (512, 512, 3, 3),
}


@pytest.fixture(scope="module")
def zoo():
    built = {}

    def get(name):
        if name not in built:
            built[name] = models.build(name, seed=0)
        return built[name]

    return get


def test_the_table_is_complete():
    assert set(models.ZOO) == set(PARAMETERS)


@pytest.mark.parametrize("name", QUICK)
def test_parameter_counts(zoo, name):
    assert sum(array.size for array in zoo(name).parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(set(TORCHVISION) - {"vgg16"}))
def test_names_are_torchvisions(zoo, name):
    assert list(zoo(name).state_dict()) == TORCHVISION[name]


@pytest.mark.slow
def test_vgg16():
    model = models.vgg16()
    assert list(model.state_dict()) == TORCHVISION["vgg16"]
    assert sum(array.size for array in model.parameters()) == PARAMETERS["vgg16"]


@pytest.mark.parametrize(("name", "parameter"), SHAPES)
def test_parameter_shapes(zoo, name, parameter):
    assert zoo(name).state_dict()[parameter].shape == SHAPES[name, parameter]


@pytest.mark.parametrize("name", QUICK)
def test_graphs_have_the_right_ends(zoo, name):
    graph = zoo(name).graph(("n", *models.ZOO[name].input_shape), name=name)
    known = graph.type_of("output")
    classes = {"lenet5": 10, "vgg11": 10, "nature_cnn": 4}.get(name, 1000)
    assert graph.name == name
    assert known is not None
    assert known.shape == ("n", classes)
    assert {parameter for parameter, _ in zoo(name).named_parameters()} <= set(graph.constants)


def test_the_stride_of_resnet50_sits_in_the_3x3_convolution(zoo):
    graph = zoo("resnet50").graph((1, 3, 224, 224))
    strides = {node.name: node.attributes["strides"] for node in graph.nodes if node.op == "conv"}
    assert strides["layer2.0.conv1"] == (1, 1)
    assert strides["layer2.0.conv2"] == (2, 2)


def test_squeezenet_rounds_its_poolings_up(zoo):
    graph = zoo("squeezenet1_1").graph((1, 3, 224, 224))
    assert [str(graph.type_of(node.outputs[0])) for node in graph.nodes if node.op == "max_pool"] == [
        "fp32[1,64,55,55]",
        "fp32[1,128,27,27]",
        "fp32[1,256,13,13]",
    ]


def test_seeds_make_equal_models():
    one, other, third = (models.lenet5(seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert not np.array_equal(one["fc1.weight"], third["fc1.weight"])


def test_sizes_can_be_chosen():
    assert models.lenet5(num_classes=7).fc3.weight.shape == (7, 84)
    assert models.mobilenet_v1(width_mult=0.5).classifier.weight.shape == (1000, 512)
    assert models.mobilenet_v2(width_mult=0.35).state_dict()["features.18.0.weight"].shape[0] == 1280
    assert models.nature_cnn(6, in_channels=1).state_dict()["network.9.weight"].shape == (6, 512)


def test_lenet5_by_hand():
    model = models.lenet5(seed=1)
    x = np.random.default_rng(0).standard_normal((2, 1, 28, 28))
    state = {name: array.astype(np.float64) for name, array in model.state_dict().items()}

    def conv_pool(x, layer, padding):
        x = np.pad(x, [(0, 0), (0, 0), (padding,) * 2, (padding,) * 2])
        patches = np.lib.stride_tricks.sliding_window_view(x, (5, 5), (2, 3))
        y = np.einsum("ncijkl,ockl->noij", patches, state[f"{layer}.weight"]) + state[f"{layer}.bias"].reshape(
            1, -1, 1, 1
        )
        n, c, h, w = y.shape
        return np.maximum(y, 0).reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))

    y = conv_pool(conv_pool(x, "conv1", 2), "conv2", 0).reshape(2, -1)
    for layer in ("fc1", "fc2", "fc3"):
        y = y @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
        y = y if layer == "fc3" else np.maximum(y, 0)
    graph = model.graph((2, 1, 28, 28), dtype="fp64")
    # Five sums in a row of at most 400 products each: errors stay within some 5 · 400 · ε of values of order 1.
    np.testing.assert_allclose(evaluate(graph, {"input": x})["output"], y, atol=2000 * np.finfo(np.float64).eps)


def test_unknown_names_are_refused():
    with pytest.raises(UnsupportedError, match="must be one of lenet5"):
        models.build("alexnet")
