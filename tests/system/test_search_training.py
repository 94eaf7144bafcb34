"""Searches over training steps: the plan found trains as the default does, is followed, and changes no parameter."""

import numpy as np
import pytest

import thew
from thew import nn, optim
from thew.errors import InputError

SHAPE = (3, 12, 12)


def trainer(**options):
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 8, 3)]
    model = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(128, 5))
    random = np.random.default_rng(0)
    for array in dict(model.named_parameters()).values():
        array[...] = 0.2 * random.standard_normal(array.shape)
    return thew.Trainer(model, optimizer=optim.SGD(lr=0.05, momentum=0.9), input_shape=SHAPE, **options)


def parameters(one):
    return {name: array.copy() for name, array in one.model.state_dict().items()}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "measurements.sqlite"


@pytest.mark.parametrize("precision", ["fp32", "mixed-bf16"])
def test_a_found_plan_trains_as_the_default_does(cache, precision, tmp_path):
    found, usual = trainer(precision=precision), trainer(precision=precision)
    before = parameters(found)
    result = thew.search(found, objective="step_time", batch_size=8, episodes=30, seeds=2, cache=cache)
    for name, array in parameters(found).items():
        np.testing.assert_array_equal(array, before[name])
    assert result.over_default <= 1.0 and result.best in result.seconds
    assert {layer.op for layer in result.layers} >= {"conv", "conv_grad_weight", "matmul"}
    assert set(result.regrets) == set(result.history) == {"q-learning", "random", "greedy", "exact"}
    random = np.random.default_rng(1)
    x, y = random.standard_normal((8, *SHAPE)).astype(np.float32), random.integers(0, 5, 8)
    losses = [(found.step(x, y), usual.step(x, y)) for _ in range(5)]
    # Two plans sum in other orders: an epsilon a step, of the precision of activations, grows with the steps.
    tolerance = {"fp32": 1e-4, "mixed-bf16": 0.05}[precision]
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=tolerance, atol=tolerance)
    result.plan.save(tmp_path / "step.plan.json")
    other = trainer(precision=precision)
    other.follow(tmp_path / "step.plan.json")
    assert dict(other.plan_step(8).executable.plans[0].choices) == dict(result.plan.choices)


def test_other_batches_and_evaluations_stay_as_they_are(cache):
    found = trainer()
    thew.search(found, objective="step_time", batch_size=8, episodes=5, seeds=1, cache=cache)
    usual = trainer()
    random = np.random.default_rng(1)
    x, y = random.standard_normal((4, *SHAPE)).astype(np.float32), random.integers(0, 5, 4)
    assert found.evaluate((x, y)) == usual.evaluate((x, y)) and found.step(x, y) == usual.step(x, y)


def test_models_are_given_to_a_trainer(cache):
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    result = thew.search(
        model, objective="step_time", input_shape=(3, 2, 2), batch_size=4, episodes=5, seeds=1, cache=cache
    )
    assert result.settings["batch_size"] == 4 and result.to_dict()["speedup_over_default"] >= 1
    with pytest.raises(InputError):
        thew.search(nn.Sequential(nn.Linear(3, 2)), objective="step_time", cache=cache)
    with pytest.raises(InputError):
        thew.search(trainer(), objective="step_time", agent="nobody", cache=cache)
