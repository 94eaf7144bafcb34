"""The model of steps on many ranks: its limits, and a schedule worked out by hand."""

from __future__ import annotations

from math import log, sqrt

import pytest

import thew
from thew import optim
from thew.bench.scaling import Compute, Network, compute_of, pretended
from thew.train import DataParallel

FAST = Network(1e-6, 1e10)


def test_sums_take_the_better_algorithm():
    assert FAST.sum_seconds(1e9, 1) == 0
    assert FAST.sum_seconds(0, 8) == pytest.approx(3e-6)  # three turns of recursive doubling
    assert FAST.sum_seconds(1e9, 2) == pytest.approx(0.1, rel=1e-3)  # every byte once in, once out
    assert FAST.sum_seconds(1e9, 1024) == pytest.approx(2 * 1023 / 1024 * 0.1, rel=1e-3)


def test_a_step_of_one_rank_is_as_measured():
    compute = Compute(0.5, 0.4, 0.01, ((0.1, 10**6),), (64,))
    for offloads in (True, False):
        assert compute.step_seconds(Network(1e-6, 1e9, offloads), 1) == pytest.approx(0.5)


def test_what_the_network_moves_by_itself_hides_behind_the_backward_pass():
    """Sums of 0.1 s that may begin at 0.1, 0.15 and 0.4: they end at 0.2, 0.3 and 0.5; then 0.1 of updates."""
    size = 10**8
    compute = Compute(0.5, 0.4, 0.0, ((0.1, size), (0.15, size), (0.4, size)), ())
    network = Network(0.0, 1e9, True)
    assert network.sum_seconds(size, 2) == pytest.approx(0.1)
    assert compute.step_seconds(network, 2) == pytest.approx(0.6)
    assert compute.step_seconds(Network(0.0, 1e9, False), 2) == pytest.approx(0.8)


def test_waits_and_stragglers_add_up():
    compute = Compute(0.5, 0.4, 0.01, (), (0, 0))
    network = Network(1e-3, 1e9)
    assert compute.step_seconds(network, 4) == pytest.approx(0.5 + 2 * 2e-3 + 0.01 * sqrt(2 * log(4)))


def test_a_step_is_measured_without_its_communication():
    trainer = thew.Trainer(
        thew.models.lenet5(seed=0), optimizer=optim.SGD(), input_shape=(1, 28, 28),
        distributed=pretended(DataParallel(bucket_bytes=1 << 16)),
    )  # fmt: skip
    import numpy as np

    random = np.random.default_rng(0)
    x, y = random.standard_normal((8, 1, 28, 28)).astype(np.float32), random.integers(0, 10, 8)
    compute = compute_of(trainer, x, y, 3)
    sizes = [size for _, size in compute.buckets]
    parameters = sum(array.size for _, array in trainer.model.named_parameters())
    assert sum(sizes) == 4 * (parameters + 1)  # and the loss
    assert 0 < compute.buckets[0][0] < compute.backward_seconds < compute.seconds
    assert not compute.waits
