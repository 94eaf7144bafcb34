"""Pruned networks: smaller, still running, and trained back to what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thew
from thew.compress.accuracy import Data
from thew.compress.criteria import CRITERIA
from thew.compress.finetune import Training, finetune
from thew.compress.masks import masked
from thew.compress.pruning import Pruner
from thew.errors import InputError
from thew.ir import Graph
from thew.passes.quantisable import layers

RNG = np.random.default_rng(0)
SIDE, CLASSES = 12, 4


def samples(count: int, scale: float = 1.0) -> tuple[Any, Any]:
    """Noise with a bright quarter, whose place is the class."""
    x = RNG.standard_normal((count, 1, SIDE, SIDE)).astype(np.float32)
    y = RNG.integers(0, CLASSES, count)
    half = SIDE // 2
    for image, place in zip(x, y, strict=True):
        image[0, half * (place // 2) : half * (place // 2 + 1), half * (place % 2) : half * (place % 2 + 1)] += 1
    return x * np.float32(scale), y


def net() -> Graph:
    from thew import nn

    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(144, CLASSES), nn.Softmax(1),
    )  # fmt: skip
    return model.graph(("n", 1, SIDE, SIDE))


@pytest.fixture(scope="module")
def trained() -> Graph:
    x, y = samples(256)
    return finetune(net(), Data(x, y), Training(4, 0.01))


def size(graph: Graph) -> int:
    return sum(array.nbytes for array in graph.constants.values())


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_makes_it_smaller(trained: Graph, criterion: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    known, asked = samples(64), samples(128)
    pruned = thew.prune(trained, 0.5, criterion=criterion, data=known, validation=asked, multiple=4, cache=cache)
    assert pruned.groups == {name: (16, 8) for name in pruned.groups} and len(pruned.groups) == 2
    assert size(pruned.graph) < 0.55 * size(trained)
    pruned.save(tmp_path / "small.onnx")
    (y,) = thew.InferenceSession(tmp_path / "small.onnx").run(None, {"input": asked[0]})
    assert pruned.after.right == int((y.argmax(1) == asked[1]).sum()) and pruned.before.share > 0.9


def test_training_brings_it_back(trained: Graph, tmp_path: Path) -> None:
    how = {"data": samples(256), "validation": samples(128), "cache": tmp_path / "cache.sqlite"}
    pruned = thew.prune(trained, 0.75, multiple=4, finetune_epochs=4, learning_rate=0.01, **how)
    assert pruned.after.share > pruned.before.share - 0.1
    assert {after for _, after in pruned.groups.values()} == {4}


@pytest.mark.parametrize(("structure", "zeros"), [("2:4", 0.5), ("1:4", 0.75), ("block", 0.5)])
def test_patterns_hold_through_training(trained: Graph, structure: str, zeros: float, tmp_path: Path) -> None:
    how = {"data": samples(64), "structure": structure, "cache": tmp_path / "cache.sqlite"}
    pruned = thew.prune(trained, 0.5, finetune_epochs=1, **how)
    second = next(layer.weight for layer in layers(trained).values() if trained.constants[layer.weight].shape[1] == 16)
    weight = pruned.graph.constants[second]
    assert np.mean(weight == 0) == pytest.approx(zeros, abs=0.01) and weight.shape == trained.constants[second].shape
    if structure != "block":
        groups = weight.reshape(16, 4, 4, 3, 3)
        assert ((groups != 0).sum(2) <= int(structure[0])).all()
    kept = masked(trained, layers(trained), structure, 0.5)[0].constants[second]
    lost, left = np.abs(trained.constants[second])[kept == 0], np.abs(kept)[kept != 0]
    assert lost.mean() < left.mean()


def test_samples_of_any_scale_train() -> None:
    """Weights take over the scale of the samples: the same training, whatever it is."""
    x, y = samples(128)
    graph = net()
    first = next(iter(layers(graph).values())).weight
    small = graph.replace(constants={**graph.constants, first: graph.constants[first] / np.float32(256)})
    unit = finetune(graph, Data(x, y), Training(1))
    scaled = finetune(small, Data(x * np.float32(256), y), Training(1))
    np.testing.assert_allclose(scaled.constants[first] * 256, unit.constants[first], rtol=1e-3, atol=1e-4)


def test_groups_may_have_ratios_of_their_own(trained: Graph) -> None:
    pruner = Pruner(trained, multiple=1)
    first, second = pruner.groups
    graph = pruner.prune({first: 0.25})
    assert Pruner(graph).groups == {first: 12, second: 16}
    assert Pruner(pruner.prune(0.99)).groups == {first: 1, second: 1}
    assert Pruner(trained, multiple=16).prune(0.9).constants[next(iter(layers(trained).values())).weight].shape[0] == 16


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"ratio": 1.0}, "must be from 0 to below 1"),
        ({"ratio": {"nothing": 0.5}}, "must be of groups"),
        ({"criterion": "luck"}, "must be one of magnitude"),
        ({"criterion": "taylor"}, "must have data"),
        ({"structure": "4:2"}, "must be"),
        ({"structure": "2:4", "ratio": {}}, "must be a number"),
        ({"finetune_epochs": 1}, "must come with data"),
        ({"multiple": 0}, "must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(trained: Graph, arguments: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        thew.prune(trained, **arguments)


def test_quantised_networks_train_with_their_roundings(trained: Graph, tmp_path: Path) -> None:
    """Also on samples of another scale, which the first layer's weights take over."""
    x, y = samples(128, 100.0)
    first = next(iter(layers(trained).values())).weight
    graph = trained.replace(constants={**trained.constants, first: trained.constants[first] / np.float32(100)})
    how = {"validation": samples(128, 100.0), "cache": tmp_path / "cache.sqlite"}
    found = thew.quantize(graph, (x, y), finetune_epochs=1, **how)
    assert found.kept == () and found.after.share > found.before.share - 0.05
    changed = thew.quantize(graph, (x, y)).weights
    assert any((found.weights[key].integers != changed[key].integers).any() for key in changed)
    with pytest.raises(InputError, match="must come with data"):
        thew.quantize(graph, x, finetune_epochs=1)
