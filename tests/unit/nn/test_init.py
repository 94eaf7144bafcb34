"""Initial values: PyTorch's bounds, and seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thew import nn
from thew.errors import ShapeError


def test_default_start_is_uniform_within_one_over_root_fan_in():
    with nn.init.seeded(0):
        layer = nn.Conv2d(16, 64, 3, groups=2)
    bound = 1 / math.sqrt(8 * 9)
    for array in (layer.weight, layer.bias):
        assert np.abs(array).max() <= bound * (1 + 1e-6)
    # The mean of n uniform draws has standard deviation bound / √(3n), their variance about bound² / 3 · √(4/5n).
    n = layer.weight.size
    assert abs(layer.weight.mean()) < 5 * bound / math.sqrt(3 * n)
    assert abs(layer.weight.var() - bound**2 / 3) < 5 * bound**2 / 3 * math.sqrt(0.8 / n)


def test_kaiming_normal_by_outputs():
    with nn.init.seeded(0):
        weight = nn.init.kaiming_normal_(np.empty((64, 32, 3, 3), np.float32), mode="fan_out", nonlinearity="relu")
    wanted = 2 / (64 * 9)
    assert abs(weight.var() - wanted) < 5 * wanted * math.sqrt(2 / weight.size)


def test_xavier_uniform():
    weight = nn.init.xavier_uniform_(np.empty((30, 50), np.float32))
    assert np.abs(weight).max() <= math.sqrt(6 / 80) * (1 + 1e-6)
    assert np.abs(weight).max() > 0.95 * math.sqrt(6 / 80)


def test_seeds():
    def weight(seed):
        with nn.init.seeded(seed):
            return nn.Linear(8, 8).weight

    np.testing.assert_array_equal(weight(1), weight(1))
    assert not np.array_equal(weight(1), weight(2))
    nn.init.manual_seed(5)
    first = nn.Linear(4, 4).weight
    nn.init.manual_seed(5)
    with nn.init.seeded(9):
        nn.Linear(4, 4)  # draws within do not disturb draws without
    np.testing.assert_array_equal(nn.Linear(4, 4).weight, first)


def test_fans_need_two_dimensions():
    with pytest.raises(ShapeError, match="2 dimensions"):
        nn.init.kaiming_uniform_(np.empty(3, np.float32))
