"""Double entry: training steps, losses and schedules in fp64 against PyTorch's, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

import thew
from thew import nn, optim

torch = pytest.importorskip("torch")
STEPS = 4


@pytest.fixture(autouse=True)
def _in_fp64():
    """PyTorch keeps Nadam's product of momenta in its default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def lenet():
    layers = torch.nn
    return layers.Sequential(
        layers.Conv2d(1, 6, 5, padding=2), layers.ReLU(), layers.MaxPool2d(2), layers.Conv2d(6, 16, 5), layers.ReLU(),
        layers.MaxPool2d(2), layers.Flatten(), layers.Linear(400, 120), layers.ReLU(), layers.Linear(120, 84),
        layers.ReLU(), layers.Linear(84, 10),
    ).double()  # fmt: skip


def blocks(library):
    """The same network in either library: grouped, dilated, transposed, normalised, pooled, activated."""
    return library.Sequential(
        library.Conv2d(2, 6, 3, padding=2, dilation=2, groups=2, bias=False), library.BatchNorm2d(6), library.SiLU(),
        library.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1), library.GroupNorm(2, 4),
        library.GELU(), library.AvgPool2d(2), library.Conv2d(4, 8, 3, stride=2, padding=1), library.Hardswish(),
        library.Flatten(), library.LayerNorm(8 * 16), library.Linear(8 * 16, 5), library.Softplus(),
    )  # fmt: skip


OPTIMIZERS = {
    "sgd": (optim.SGD(lr=0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "nesterov": (
        optim.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    "adam": (optim.Adam(lr=0.01, weight_decay=0.01), lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01)),
    "adamw": (optim.AdamW(lr=0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1)),
    "rmsprop": (
        optim.RMSprop(lr=0.01, momentum=0.5, centered=True),
        lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.5, centered=True),
    ),
    "adagrad": (optim.Adagrad(lr=0.05, lr_decay=0.1), lambda p: torch.optim.Adagrad(p, 0.05, lr_decay=0.1)),
    "nadam": (optim.NAdam(lr=0.01), lambda p: torch.optim.NAdam(p, 0.01)),
}


def compare(model, peer, mine, theirs, x, y, clip=None, tolerance=1e-9):
    """Steps of both, from the same parameters on the same batch."""
    trainer = thew.Trainer(model, optimizer=mine, input_shape=x.shape[1:], precision="fp64")
    with torch.no_grad():
        for ours, parameter in zip(model.parameters(), peer.parameters(), strict=True):
            parameter.copy_(torch.from_numpy(ours))
    optimizer = theirs(peer.parameters())
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(peer(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(peer.parameters(), clip)
        optimizer.step()
        assert trainer.step(x, y) == pytest.approx(loss.item(), rel=tolerance)
    for (name, ours), parameter in zip(model.named_parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(ours, parameter.detach().numpy(), rtol=0, atol=tolerance, err_msg=name)
    peers = dict(peer.named_buffers())
    for name, ours in model.named_buffers():
        if "running" in name:
            np.testing.assert_allclose(ours, peers[name].numpy(), rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lenet_steps(name):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(5, 1, 28, 28)), random.integers(0, 10, 5)
    compare(thew.models.lenet5(seed=0), lenet(), *OPTIMIZERS[name], x, y)


def test_gradients_are_cut_by_value():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(5, 4)), random.integers(0, 3, 5)
    with nn.init.seeded(0):
        model = nn.Sequential(nn.Linear(4, 3))
    peer = torch.nn.Sequential(torch.nn.Linear(4, 3)).double()

    def cutting(parameters):
        kept = list(parameters)
        for parameter in kept:
            parameter.register_hook(lambda gradient: gradient.clamp(-0.05, 0.05))
        return torch.optim.SGD(kept, 0.1)

    compare(model, peer, optim.SGD(lr=0.1, clip_value=0.05), cutting, x, y)


@pytest.mark.parametrize("clip", [None, 0.1])
def test_steps_of_many_layers(clip):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, 2, 8, 8)), random.integers(0, 5, 4)
    with nn.init.seeded(0):
        model = blocks(nn)
    mine = optim.SGD(lr=0.1, momentum=0.9, clip_norm=clip)
    peer = blocks(torch.nn).double()
    compare(model, peer, mine, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), x, y, clip)


LOSSES = {
    "mse": (nn.MSELoss(), torch.nn.MSELoss()),
    "l1": (nn.L1Loss("sum"), torch.nn.L1Loss(reduction="sum")),
    "huber": (nn.HuberLoss(delta=0.7), torch.nn.HuberLoss(delta=0.7)),
    "bce": (nn.BCEWithLogitsLoss(), torch.nn.BCEWithLogitsLoss()),
    "weighted bce": (nn.BCEWithLogitsLoss(2.5), torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.5))),
    "kl": (nn.KLDivLoss("batchmean"), torch.nn.KLDivLoss(reduction="batchmean")),
    "kl log": (nn.KLDivLoss("sum", log_target=True), torch.nn.KLDivLoss(reduction="sum", log_target=True)),
    "nll": (
        nn.NLLLoss(np.array([1.0, 2.0, 0.5])),
        torch.nn.NLLLoss(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)),
    ),
    "cross-entropy": (
        nn.CrossEntropyLoss(np.array([1.0, 2.0, 0.5]), label_smoothing=0.1),
        torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64), label_smoothing=0.1),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    mine, theirs = LOSSES[name]
    random = np.random.default_rng(1)
    x = random.normal(size=(6, 4))
    y = random.integers(0, 3, 6) if name in ("nll", "cross-entropy") else random.uniform(0.05, 0.95, (6, 3))
    with nn.init.seeded(0):
        model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1))
    peer = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LogSoftmax(1)).double()
    trainer = thew.Trainer(model, mine, optim.SGD(lr=0.1), (4,), "fp64")
    with torch.no_grad():
        for ours, parameter in zip(model.parameters(), peer.parameters(), strict=True):
            parameter.copy_(torch.from_numpy(ours))
    loss = theirs(peer(torch.from_numpy(x)), torch.from_numpy(y))
    loss.backward()
    assert trainer.step(x, y) == pytest.approx(loss.item(), rel=1e-7)  # pos_weight is fp32 here
    for ours, parameter in zip(model.parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(ours, (parameter - 0.1 * parameter.grad).detach().numpy(), rtol=0, atol=1e-7)


def test_schedules():
    parameter = torch.nn.Parameter(torch.zeros(1))
    torch_optimizer = torch.optim.SGD([parameter], lr=1.0)
    peers = torch.optim.lr_scheduler
    pairs = [
        (optim.Step(3, 0.5), lambda o: peers.StepLR(o, 3, 0.5)),
        (optim.MultiStep((2, 5)), lambda o: peers.MultiStepLR(o, [2, 5])),
        (optim.Exponential(0.9), lambda o: peers.ExponentialLR(o, 0.9)),
        (optim.CosineAnnealing(10, 0.1), lambda o: peers.CosineAnnealingLR(o, 10, 0.1)),
    ]
    for mine, theirs in pairs:
        torch_optimizer = torch.optim.SGD([parameter], lr=1.0)
        schedule = theirs(torch_optimizer)
        for step in range(10):
            assert mine.factor(step) == pytest.approx(schedule.get_last_lr()[0]), mine
            torch_optimizer.step()
            schedule.step()


def test_plateaus():
    parameter = torch.nn.Parameter(torch.zeros(1))
    torch_optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(torch_optimizer, factor=0.5, patience=2, min_lr=0.1)
    mine = optim.ReduceOnPlateau(gamma=0.5, patience=2, least=0.1)
    for metric in [1.0, 0.9, 0.95, 0.91, 0.9, 0.92, 0.5, *[0.6] * 20]:
        mine.observe(metric)
        theirs.step(metric)
        assert mine.factor(0) == pytest.approx(theirs.get_last_lr()[0])
