"""Fit, checkpoints and what surrounds them."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import thew
from thew import nn, optim
from thew.errors import CheckpointError, InputError
from thew.train import Callback, CheckpointBest, CSVLogger, EarlyStopping, TensorBoard


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.2)
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return self.head(self.drop(nn.functional.relu(self.norm(self.conv(x)))).flatten(1))


def data(n: int = 50):
    random = np.random.default_rng(5)
    y = random.integers(0, 3, n)
    x = random.normal(size=(n, 1, 8, 8)).astype(np.float32)
    x += y[:, None, None, None]
    return x, y


def trainer(precision="fp32", **how):
    with nn.init.seeded(2):
        model = Net()
    how.setdefault("optimizer", optim.Adam(lr=0.01, clip_norm=1.0))
    return thew.Trainer(model, input_shape=(1, 8, 8), precision=precision, seed=4, **how)


def arrays(found):
    return {**found.model.state_dict(), **found._engine.states}


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer, row):
        if trainer.counters.steps == self.step:
            trainer.stop("SIGTERM")


def test_fit_learns_and_keeps_history(tmp_path):
    found = trainer()
    history = found.fit(
        data(), epochs=12, batch_size=16, validation=data(20), callbacks=[CSVLogger(tmp_path / "h.csv")]
    )
    assert len(history["loss"]) == 12 and history["loss"][-1] < history["loss"][0]
    assert history["val_accuracy"][-1] > 0.6
    with (tmp_path / "h.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == history["loss"]
    assert found.predict(data(7)[0], batch_size=3).shape == (7, 3)
    assert found.evaluate(data())["accuracy"] >= 0.6


def test_curves_are_drawn_and_logged(tmp_path):
    found = trainer()
    pytest.importorskip("matplotlib")
    found.fit(data(), epochs=2, batch_size=16, validation=data(20)).plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = found.fit(data(), epochs=2, batch_size=16, callbacks=[TensorBoard(tmp_path / "board")])
    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    logged = [float(event.tensor_proto.float_val[0]) for event in events.Tensors("loss")]
    np.testing.assert_allclose(logged, history["loss"][-2:], rtol=1e-6)


def test_one_fit_in_two_is_one(tmp_path):
    """Cut off within an epoch and resumed from the file, it ends bit for bit where it would have."""
    whole = trainer(schedule=optim.CosineAnnealing(20))
    whole.fit(data(), epochs=3, batch_size=16)
    path = tmp_path / "run.ckpt"
    trainer(schedule=optim.CosineAnnealing(20)).fit(
        data(), epochs=3, batch_size=16, callbacks=[StopAt(6)], checkpoint=path
    )
    with nn.init.seeded(9):
        again = Net()
    for model in (None, again):
        resumed = thew.Trainer.resume(path, model)
        assert resumed.counters.steps == 6 and resumed.counters.batches == 2
        resumed.fit(data(), epochs=3, batch_size=16)
        ends = {name.replace("conv.", "").replace("norm.", ""): 0 for name in arrays(resumed)}
        assert ends
        left, right = arrays(whole), arrays(resumed)
        for name in right:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)
        for name in ("loss", "accuracy", "lr"):
            assert whole.history[name] == resumed.history[name]


@pytest.mark.parametrize("precision", ["fp64", "mixed-fp16", "mixed-fp64-fp16"])
def test_resume_in_every_precision(tmp_path, precision):
    first = trainer(precision)
    for _ in range(2):
        first.step(*data(8))
    first.save(tmp_path / "a.ckpt")
    second = thew.Trainer.resume(tmp_path / "a.ckpt")
    assert first.step(*data(8)) == second.step(*data(8))
    assert first.scaling == second.scaling
    for name, array in arrays(second).items():
        np.testing.assert_array_equal(array, arrays(first)[name], err_msg=name)


def test_frozen_parameters_and_losses_are_in_checkpoints(tmp_path):
    with nn.init.seeded(2):
        model = Net()
    model.conv.freeze()
    loss = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 0.5]), label_smoothing=0.1)
    first = thew.Trainer(model, loss, optim.SGD(lr=0.1, momentum=0.9), (1, 8, 8))
    first.step(*data(8))
    first.save(tmp_path / "a.ckpt")
    second = thew.Trainer.resume(tmp_path / "a.ckpt")
    assert first.step(*data(8)) == second.step(*data(8))
    np.testing.assert_array_equal(second.model.state_dict()["conv.weight"], model.conv.weight)


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    trainer().save(path)
    whole = path.read_bytes()
    assert not [name for name in os.listdir(tmp_path) if name != "a.ckpt"]
    for damaged in (whole[:-3], whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"a\.ckpt"):
            thew.Trainer.resume(path)
    edited = whole.replace(b'\\"seed\\":4', b'\\"seed\\":5')
    assert edited != whole
    path.write_bytes(edited)
    with pytest.raises(CheckpointError, match="digest"):
        thew.Trainer.resume(path)
    with pytest.raises(CheckpointError):
        thew.Trainer.resume(tmp_path / "none.ckpt")


def test_safetensors_agree_with_the_library(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    found = trainer()
    found.save(tmp_path / "a.ckpt")
    tensors = library.load_file(tmp_path / "a.ckpt")
    np.testing.assert_array_equal(tensors["model.head.weight"], found.model.head.weight)


def test_early_stopping_and_best(tmp_path):
    found = trainer(optimizer=optim.SGD(lr=0.0))
    history = found.fit(
        data(),
        20,
        25,
        data(20),
        [EarlyStopping(patience=2, min_delta=9.0), CheckpointBest(tmp_path / "best.ckpt")],
        shuffle=False,
    )
    assert len(history["loss"]) < 20 and "val_loss" in history.stopped
    assert (tmp_path / "best.ckpt").exists()
    assert found.counters.first_epoch is None  # it ended: a new fit starts afresh


def test_batches_from_an_iterable():
    x, y = data(32)
    found = trainer()
    history = found.fit([(x[:16], y[:16]), (x[16:], y[16:])], epochs=2)
    assert found.counters.steps == 4 and len(history["loss"]) == 2
    with pytest.raises(InputError, match="generator"):
        found.fit(((x, y) for _ in range(1)), epochs=2)


def test_wrong_inputs_are_refused():
    found = trainer()
    with pytest.raises(InputError, match="shape"):
        found.step(np.zeros((4, 1, 9, 9)), np.zeros(4, int))
    with pytest.raises(InputError, match="targets"):
        found.step(np.zeros((4, 1, 8, 8)), np.zeros(3, int))
    with pytest.raises(InputError, match="lr"):
        optim.SGD(lr=-1.0)


RUN = """
import sys, numpy as np
sys.path.insert(0, {folder!r})
import os, signal, thew
from test_fit import Callback, data, trainer
path = {path!r}
class Kill(Callback):
    def on_step_end(self, trainer, row):
        if trainer.counters.steps == {step}:
            os.kill(os.getpid(), signal.{signal})
found = thew.Trainer.resume(path) if os.path.exists(path) else trainer()
found.fit(data(), 3, 16, callbacks=[Kill()], checkpoint=path, checkpoint_every=2)
print(found.history.stopped, found.counters.steps)
"""


@pytest.mark.parametrize("kind", ["SIGTERM", "SIGKILL"])
def test_signals_leave_a_good_checkpoint(tmp_path, kind):
    path = tmp_path / "run.ckpt"
    folder = os.path.dirname(__file__)

    def run(step):
        code = textwrap.dedent(RUN).format(folder=folder, path=str(path), step=step, signal=kind)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)

    first = run(5)
    if kind == "SIGTERM":
        assert first.stdout.split() == ["SIGTERM", "5"], first.stderr
    else:
        assert first.returncode == -signal.SIGKILL
    assert thew.Trainer.resume(path).counters.steps == (5 if kind == "SIGTERM" else 4)
    second = run(-1)
    assert second.stdout.split() == ["12"], second.stderr
    whole = trainer()
    whole.fit(data(), 3, 16)
    for name, array in arrays(thew.Trainer.resume(path)).items():
        np.testing.assert_array_equal(array, arrays(whole)[name], err_msg=name)


X, Y = data(4)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda t: t.step(X[:0], Y[:0]), "x: must have at least one sample, got none"),
        (lambda t: t.step("abc", Y), "x: must be an array of numbers, got str"),
        (lambda t: t.step(X, [[1], [1, 2]]), "y: must be an array of numbers, got list"),
        (lambda t: t.step(X, 1), "y: must have as many targets"),
        (lambda t: t.predict(X, batch_size=0), "predict: batch_size must be at least 1"),
        (lambda t: t.fit((X, Y), epochs=1.5), "fit: epochs must be a whole number"),
        (lambda t: t.fit((X, Y), batch_size=0), "fit: batch_size must be a whole number of at least 1"),
        (lambda t: t.fit([X, Y]), r"an iterable must yield batches \(x, y\), got ndarray"),
        (lambda t: t.fit((X, Y), metrics="accuracy"), "metrics: must be a list of names, got 'accuracy'"),
        (lambda t: t.fit((X, Y), checkpoint="/nowhere/a.ckpt"), "must lie in a folder that exists"),
        (lambda t: trainer(optimizer="sgd"), "Trainer: optimizer must be one of thew.optim"),
        (lambda t: trainer(schedule="cosine"), "Trainer: schedule must be one of thew.optim"),
        (lambda t: trainer(memory_budget_bytes="1GB"), "memory_budget_bytes must be a whole number of bytes"),
        (lambda t: trainer(distributed="yes"), "distributed must be true, false or"),
        (lambda t: thew.Trainer("a.onnx"), "model must be a module or a graph; thew.from_onnx reads a file"),
        (lambda t: thew.Trainer(Net(), input_shape=64), "input_shape must be the shape of one sample"),
        (lambda t: thew.Trainer(Net(), seed=1 << 70), "seed must be a whole number of 64 bits"),
        (lambda t: trainer(loss="mse").fit((X, np.ones((4, 3))), metrics=["accuracy"]), "metric 'accuracy': must fit"),
        (lambda t: optim.Adam(lr=0.1, betas=0.9), "betas must be two numbers"),
        (lambda t: optim.SGD(lr=0.1, clip_norm="a"), "clip_norm must be above 0"),
        (lambda t: optim.Step(0), "step_size must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(attempt, message):
    with pytest.raises(InputError, match=message):
        attempt(trainer())


def test_numbers_of_numpy_are_numbers(tmp_path):
    found = trainer(optimizer=optim.SGD(lr=np.float32(0.25)))
    found.step(X, Y)
    found.save(tmp_path / "a.ckpt")
    assert thew.Trainer.resume(tmp_path / "a.ckpt").optimizer.lr == 0.25


def test_targets_that_the_loss_ignores_are_no_classes() -> None:
    """Neither right nor wrong; a class that there is none of is refused."""
    x, y = data(8)
    known = trainer().evaluate((x[:4], y[:4]))
    own = trainer(loss=nn.CrossEntropyLoss(ignore_index=7))
    assert own.evaluate((x, np.concatenate([y[:4], np.full(4, 7)])))["accuracy"] == known["accuracy"]
    with pytest.raises(InputError, match=r"labels must be within \[0, 2\]"):
        own.step(x, np.full(8, 3))
