"""A training step does what its graph says, and training learns."""

from __future__ import annotations

import numpy as np
import pytest

import thew
from thew import nn, optim
from thew.nn import functional as F
from thew.ops.interpret import evaluate


class Mixed(nn.Module):
    """Convolutions, norms, pools, dropout, a residual and a product that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.GroupNorm(2, 4)
        self.drop, self.act = nn.Dropout(0.3), nn.SiLU()
        self.head, self.norm3 = nn.Linear(16, 16), nn.LayerNorm(16)
        self.last = nn.Linear(16, 5)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = x + self.act(self.norm2(self.conv2(x)))
        x = self.drop(F.avg_pool2d(x, 2).flatten(1))
        x = F.relu(self.norm3(self.head(x))) + self.head(x)
        return self.last(x)


def batch(n: int = 6, classes: int = 5):
    random = np.random.default_rng(3)
    return random.normal(size=(n, 2, 8, 8)), random.integers(0, classes, n)


OPTIMIZERS = {
    "sgd": optim.SGD(lr=0.05),
    "nesterov": optim.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": optim.Adam(lr=0.01, weight_decay=1e-3, clip_norm=0.5),
    "adamw": optim.AdamW(lr=0.01),
    "rmsprop": optim.RMSprop(lr=0.01, momentum=0.5, centered=True),
    "adagrad": optim.Adagrad(lr=0.05, lr_decay=0.01, clip_value=0.1),
    "nadam": optim.NAdam(lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_the_graph(name):
    """Three planned steps in fp64 against the same graph, walked node by node by the references."""
    with nn.init.seeded(0):
        model = Mixed()
    trainer = thew.Trainer(model, optimizer=OPTIMIZERS[name], input_shape=(2, 8, 8), precision="fp64", seed=7)
    x, y = batch()
    prepared = trainer.prepare(6)
    step = prepared.step
    held = {**step.own, **{key: trainer._engine.states[key] for key in step.fresh}}
    expected = {key: array.copy() for key, array in held.items()}
    for _ in range(3):
        numbers = {key: array.copy() for key, array in trainer._engine.numbers.items()}
        numbers["random.offset"][0] = trainer.counters.steps
        values = evaluate(step.graph, {"input": x, "target": y.astype(np.int64), **numbers, **expected})
        assert trainer.step(x, y) == pytest.approx(float(values[step.loss]), rel=1e-12)
        expected.update((key, values[after]) for key, after in step.successors.items() if after)
        for key, array in held.items():
            np.testing.assert_allclose(array, expected[key], rtol=1e-10, atol=1e-12, err_msg=key)
    assert any(np.abs(held[key]).max() > 0 for key in step.fresh) or name == "sgd"


def test_training_overfits_a_batch():
    trainer = thew.Trainer(
        thew.models.lenet5(seed=1), optimizer=optim.SGD(lr=0.05, momentum=0.9), input_shape=(1, 28, 28)
    )
    random = np.random.default_rng(0)
    x, y = random.normal(size=(16, 1, 28, 28)).astype(np.float32), random.integers(0, 10, 16)
    first = trainer.step(x, y)
    for _ in range(40):
        last = trainer.step(x, y)
    assert first > 2 and last < 0.1
    _, prediction = trainer.evaluate_batch(x, y)
    assert (prediction.argmax(1) == y).all()


def test_the_model_is_what_was_trained():
    """The module's arrays are the trained ones: a session on its graph agrees with evaluation."""
    with nn.init.seeded(0):
        model = Mixed()
    trainer = thew.Trainer(model, optimizer=optim.Adam(lr=0.01), input_shape=(2, 8, 8))
    x, y = batch()
    for _ in range(3):
        trainer.step(x, y)
    _, prediction = trainer.evaluate_batch(x, y)
    (expected,) = thew.InferenceSession(model.graph((6, 2, 8, 8))).run(None, {"input": x.astype(np.float32)})
    np.testing.assert_allclose(prediction, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "mixed-fp16"])
def test_results_are_the_same_for_any_number_of_threads(precision):
    ends = []
    for threads in (1, 2, 3):
        with nn.init.seeded(0):
            model = Mixed()
        trainer = thew.Trainer(
            model, optimizer=optim.Adam(lr=0.01, clip_norm=1.0), input_shape=(2, 8, 8), precision=precision,
            threads=threads,
        )  # fmt: skip
        losses = [trainer.step(*batch(40)) for _ in range(3)]
        ends.append((losses, {name: array.copy() for name, array in model.state_dict().items()}))
    for losses, arrays in ends[1:]:
        assert losses == ends[0][0]
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, ends[0][1][name], err_msg=name)


def test_explaining_a_step_changes_nothing():
    with nn.init.seeded(0):
        model = Mixed()
    trainer = thew.Trainer(model, optimizer=optim.Adam(lr=0.01), input_shape=(2, 8, 8))
    trainer.step(*batch())
    before = {name: array.copy() for name, array in {**model.state_dict(), **trainer._engine.states}.items()}
    explained = trainer.explain(rounds=1)
    assert {"conv", "conv_grad_weight", "update_adam", "softmax_cross_entropy"} <= {row.op for row in explained.rows}
    for name, array in {**model.state_dict(), **trainer._engine.states}.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_memory_is_known_before_the_first_step():
    trainer = thew.Trainer(thew.models.lenet5(seed=0), optimizer=optim.SGD(momentum=0.9), input_shape=(1, 28, 28))
    with pytest.raises(thew.Error, match="prepare"):
        trainer.explain()
    trainer.prepare(16)
    planned = trainer.peak_memory_bytes
    parameters = sum(array.nbytes for array in trainer.model.parameters())
    assert planned > 2 * parameters
    trainer.step(np.zeros((16, 1, 28, 28), np.float32), np.zeros(16, np.int64))
    assert trainer.peak_memory_bytes == planned


def test_frozen_layers_stay():
    with nn.init.seeded(0):
        model = Mixed()
    model.conv1.freeze()
    model.norm1.freeze()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    trainer = thew.Trainer(model, optimizer=optim.SGD(lr=0.1), input_shape=(2, 8, 8))
    trainer.step(*batch())
    for name, array in model.state_dict().items():
        same = np.array_equal(array, before[name])
        assert same == name.startswith(("conv1", "norm1", "norm1.num")), name
    assert "conv1.weight" not in trainer._engine.last().step.trained


@pytest.mark.parametrize("precision", ["mixed-fp16", "mixed-bf16", "mixed-fp64-fp16"])
def test_mixed_precision_follows_fp32(precision):
    losses = []
    for how in ("fp32", precision):
        trainer = thew.Trainer(
            thew.models.lenet5(seed=1), optimizer=optim.SGD(lr=0.02), input_shape=(1, 28, 28), precision=how
        )
        random = np.random.default_rng(0)
        x, y = random.normal(size=(8, 1, 28, 28)), random.integers(0, 10, 8)
        losses.append([trainer.step(x, y) for _ in range(6)])
    # 16 bits keep 8 (bf16) or 11 bits of every activation; the loss is a mean of numbers near 2.3.
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=0.02)


def test_overflow_is_skipped_and_recovered_from():
    scaling = thew.train.LossScaling(start=2.0**40, most=2.0**40)
    trainer = thew.Trainer(
        thew.models.lenet5(seed=1), optimizer=optim.SGD(lr=0.02), input_shape=(1, 28, 28), precision="mixed-fp16",
        loss_scaling=scaling,
    )  # fmt: skip
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, 1, 28, 28)), random.integers(0, 10, 4)
    before = trainer.model.fc3.weight.copy()
    trainer.step(x, y)
    assert trainer.scaling == {"scale": 2.0**39, "clean": 0, "skipped": 1}
    assert trainer.overflow.step == 0 and trainer.overflow.tensor == "fc3.bias"  # the backward pass begins there
    assert np.array_equal(before, trainer.model.fc3.weight)
    for _ in range(30):
        trainer.step(x, y)
    assert trainer.scaling["skipped"] < 31 and not np.array_equal(before, trainer.model.fc3.weight)
    assert np.isfinite(trainer.model.fc3.weight).all()


@pytest.mark.parametrize(("batch_size", "family"), [(32, "conv_batch"), (3, "conv")])
def test_a_step_is_one_native_call(batch_size, family):
    """LeNet-5's step has no Python between kernels; images lie innermost where they fill vectors."""
    trainer = thew.Trainer(thew.models.lenet5(seed=0), input_shape=(1, 28, 28))
    executable = trainer.prepare(batch_size).executable
    assert executable.single is not None
    steps = executable.single.plan.steps
    assert all(step.kernel.startswith(family) for step in steps if step.op.startswith("conv"))
    assert any(step.kernel.startswith("conv_planes") for step in steps) == (batch_size == 3)
    assert sum(step.op == "update_sgd" for step in steps) == 10


def test_a_batch_in_parts_is_the_same_step():
    """Gradients of parts add up to the whole batch's, in less memory."""

    def trained(budget, precision="fp64", clip=None):
        trainer = thew.Trainer(
            thew.models.lenet5(seed=1), optimizer=optim.SGD(lr=0.1, momentum=0.9, clip_norm=clip),
            input_shape=(1, 28, 28), precision=precision, memory_budget_bytes=budget,
        )  # fmt: skip
        random = np.random.default_rng(0)
        x, y = random.normal(size=(48, 1, 28, 28)), random.integers(0, 10, 48)
        outputs = [trainer.step_with_prediction(x, y) for _ in range(2)]
        return trainer, outputs

    whole, expected = trained(None)
    states = sum(array.nbytes for array in whole.model.parameters()) * 2
    budget = whole.peak_memory_bytes * 7 // 10
    parted, found = trained(budget)
    assert parted.peak_memory_bytes <= budget
    for (loss, prediction), (wanted, wanted_prediction) in zip(found, expected, strict=True):
        assert loss == pytest.approx(wanted, rel=1e-12)
        np.testing.assert_allclose(prediction, wanted_prediction, rtol=0, atol=1e-12)
    for ours, theirs in zip(parted.model.parameters(), whole.model.parameters(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    whole, _ = trained(None, "fp32", 1.0)
    clipped, _ = trained(whole.peak_memory_bytes * 8 // 10, "fp32", 1.0)
    for ours, theirs in zip(clipped.model.parameters(), whole.model.parameters(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)  # two steps of 0.1 · 1 in 24 bits
    with pytest.raises(thew.errors.MemoryLimitError, match="at least"):
        trained(states // 2)


def test_parts_keep_statistics_and_draws():
    with nn.init.seeded(0):
        model = Mixed()
    trainer = thew.Trainer(model, optimizer=optim.SGD(lr=0.05), input_shape=(2, 8, 8))
    trainer.prepare(96)
    with nn.init.seeded(0):
        model = Mixed()
    trainer = thew.Trainer(
        model, optimizer=optim.SGD(lr=0.05), input_shape=(2, 8, 8),
        memory_budget_bytes=trainer.peak_memory_bytes * 9 // 10,
    )  # fmt: skip
    x, y = batch(96)
    before = model.norm1.running_mean.copy()
    losses = [trainer.step(x, y) for _ in range(20)]
    assert losses[-1] < losses[0] and not np.array_equal(model.norm1.running_mean, before)
    streams = [
        node.attributes["stream"] for node in trainer._engine.last().step.graph.nodes if node.op == "dropout_training"
    ]
    assert len(set(streams)) == len(streams) // 2 > 1  # one forward and one backward each
