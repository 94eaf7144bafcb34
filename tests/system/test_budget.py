"""Training within a memory budget: the same steps in less, a typed error where it cannot be, and savings of layers that
are frozen. What is planned is what a process takes.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import thew
from thew import nn, optim
from thew.errors import MemoryLimitError


def network(seed=0):
    """Large activations, few parameters."""
    with nn.init.seeded(seed):
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
        )  # fmt: skip


def trainer_of(budget=None, model=None, **options):
    return thew.Trainer(
        network() if model is None else model, optimizer=optim.SGD(lr=0.05, momentum=0.9), input_shape=(3, 16, 16),
        memory_budget_bytes=budget, **options,
    )  # fmt: skip


def batch(n=32, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 3, 16, 16)), random.integers(0, 10, n)


@pytest.mark.parametrize("share", [0.7, 0.45])
def test_a_budget_changes_nothing_but_memory(share):
    free = trainer_of(precision="fp64")
    x, y = batch()
    expected = [free.step(x, y) for _ in range(3)]
    assert free.measure == ""
    budget = int(free.peak_memory_bytes * share)
    bound = trainer_of(budget, precision="fp64")
    found = [bound.step(x, y) for _ in range(3)]
    assert bound.peak_memory_bytes <= budget and bound.measure.startswith("activations")
    assert "bf16" not in bound.measure
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for ours, theirs in zip(bound.model.parameters(), free.model.parameters(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    bound.evaluate((x, y), batch_size=8)  # another plan takes the place of the step's
    assert np.isfinite(bound.step(x, y))


def test_evaluations_run_in_parts_that_fit():
    free, (x, y) = trainer_of(precision="fp64"), batch(33)
    expected, prediction = free.evaluate((x, y), batch_size=33), free.predict(x)
    whole = free.peak_memory_bytes
    bound = trainer_of(whole // 3, precision="fp64")
    found = bound.evaluate((x, y), batch_size=33)
    assert bound.peak_memory_bytes <= whole // 3
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-12) and found["accuracy"] == expected["accuracy"]
    np.testing.assert_allclose(bound.predict(x), prediction, rtol=0, atol=1e-12)
    assert bound.peak_memory_bytes <= whole // 3
    with pytest.raises(MemoryLimitError, match="to evaluate one sample"):
        trainer_of(10_000, precision="fp64").evaluate((x, y))


def test_batch_norm_sees_whole_batches_while_that_fits():
    layers = (layer for _ in range(3) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()))
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )
    free = trainer_of(model=model)
    free.prepare(32)
    bound = trainer_of(free.peak_memory_bytes * 9 // 10, model=model)
    bound.prepare(32)
    assert bound.measure and "parts" not in bound.measure


def test_what_smaller_parts_need_beside_their_values_counts():
    """Scratch of the whole batch would not leave room for anything; that of a part does."""
    needed = []
    for parts in (1, 8):
        trainer = trainer_of()
        trainer.prepare(32 // parts)
        needed.append(trainer.peak_memory_bytes)
    bound = trainer_of(max(needed[1] * 5 // 4, needed[0] // 5))
    bound.prepare(32)
    assert bound.peak_memory_bytes <= max(needed[1] * 5 // 4, needed[0] // 5)


def test_a_resumed_run_keeps_its_budget_and_goes_on_bit_for_bit(tmp_path):
    free, (x, y) = trainer_of(), batch()
    free.prepare(len(x))
    first = trainer_of(free.peak_memory_bytes // 2)
    first.step(x, y)
    first.save(tmp_path / "a.ckpt")
    again = thew.Trainer.resume(tmp_path / "a.ckpt")
    assert [again.step(x, y) for _ in range(2)] == [first.step(x, y) for _ in range(2)]
    assert again.measure == first.measure != ""
    assert again.peak_memory_bytes == first.peak_memory_bytes
    assert thew.Trainer.resume(tmp_path / "a.ckpt", memory_budget_bytes=1 << 40).step(x, y) > 0


def test_what_cannot_be_is_refused():
    trainer = trainer_of(100_000)
    with pytest.raises(MemoryLimitError, match=r"at least about \d+ \(.*\d parts.*\), got 100000"):
        trainer.step(*batch(8))


def test_memory_is_known_of_the_usual_batch():
    trainer = trainer_of()
    known = trainer.peak_memory_bytes
    trainer.prepare(64)
    assert trainer.peak_memory_bytes == known
    trainer.step(*batch(64))
    assert trainer.peak_memory_bytes == known
    regression = trainer_of(loss="mse")
    assert regression.peak_memory_bytes > 0
    with pytest.raises(thew.errors.InputError, match="input_shape"):
        _ = thew.Trainer(network()).peak_memory_bytes


def planned(model, batch_size=32):
    trainer = trainer_of(model=model)
    prepared = trainer.prepare(batch_size)
    (plan,) = prepared.executable.plans
    return trainer, plan, sum(step.flops for step in plan.steps)


def test_sparse_updates_save_time_and_memory():
    """The last layer alone, the last few, biases alone: what only the others need is not computed, and not kept."""
    whole, plan, flops = planned(network())
    inference = thew.InferenceSession(network().graph((32, 3, 16, 16)))
    (forward,) = inference.prepare({"input": (32, 3, 16, 16)}).plans

    last = network()
    for layer in list(last)[:-1]:
        layer.freeze()
    trainer, of_last, few = planned(last)
    assert not any("grad" in step.op for step in of_last.steps if "conv" in step.op or "pool" in step.op)
    assert few < sum(step.flops for step in forward.steps) * 1.1 < flops / 2
    assert of_last.arena_bytes < forward.arena_bytes * 1.1 < plan.arena_bytes
    assert trainer.peak_memory_bytes < whole.peak_memory_bytes
    before = [array.copy() for array in last.parameters()]
    trainer.step(*batch())
    moved = [not np.array_equal(a, b) for a, b in zip(last.parameters(), before, strict=True)]
    assert moved == [False] * 8 + [True] * 2

    half = network()
    for layer in list(half)[:5]:
        layer.freeze()
    trainer, of_half, some = planned(half)
    assert few < some < flops and of_last.arena_bytes <= of_half.arena_bytes < plan.arena_bytes

    biases = network()
    for layer in biases:
        layer.freeze("weight")
    trainer, of_biases, less = planned(biases)
    ops = [step.op for step in of_biases.steps]
    assert "conv_grad_weight" not in ops and ops.count("conv_grad_input") == 3
    assert less < flops * 0.75 and of_biases.arena_bytes <= plan.arena_bytes


RESIDENT = """
    import numpy as np, thew
    from thew import nn, optim

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * 4096

    def trained(n, size, channels, budget=None):
        model = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(channels, 10))
        trainer = thew.Trainer(model, optimizer=optim.SGD(lr=0.01, momentum=0.9), input_shape=(3, size, size),
                               memory_budget_bytes=budget)
        x = np.ones((n, 3, size, size), np.float32)
        for _ in range(2):
            trainer.step(x, np.zeros(n, int))
        return trainer

    trained(2, 8, 4, 10**9)  # what is imported once
    before = resident()
    trainer = trained(64, 48, 32, {budget})
    print(trainer.peak_memory_bytes, resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("budget", [None, 60_000_000])
def test_the_process_takes_what_was_planned(budget):
    program = textwrap.dedent(RESIDENT).replace("{budget}", str(budget))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    known, grown = map(int, done.stdout.split())
    batch_bytes = 64 * 3 * 48 * 48 * 4
    assert budget is None or known <= budget
    # The batch, and some megabytes of the plan itself and what the allocator keeps, are beside it.
    assert 0.8 * known < grown < 1.05 * known + batch_bytes + 12e6
