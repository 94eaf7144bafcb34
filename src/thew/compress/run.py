"""`quantize`: a float model and samples in; a model that computes on 8-bit integers where that is good and fast out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thew.compress.accuracy import Accuracy, labelled
from thew.compress.finetune import Training, finetune_quantized
from thew.compress.judge import Judge
from thew.compress.observe import Progress, silent
from thew.compress.post_training import DEFAULT_BATCH, Calibrator, Method, Model, Quantized, read
from thew.compress.sensitivity import keep_accurate
from thew.compress.speed import Timing, keep_faster
from thew.errors import InputError
from thew.runtime.cache import default_path


@dataclass(frozen=True)
class Outcome(Quantized):
    """A quantised model, and what is known of it.

    Attributes:
        before: accuracy of the float model; None without labels.
        after: accuracy of the quantised one.
        timing: times on this machine; None where speed was not asked for.
        inaccurate: keys of the layers that stayed float for accuracy.
        slower: keys of the layers that stayed float since integers are not faster there.
    """

    before: Accuracy | None = None
    after: Accuracy | None = None
    timing: Timing | None = None
    inaccurate: tuple[str, ...] = ()
    slower: tuple[str, ...] = ()


def quantize(
    model: Model,
    data: Any,
    *,
    calibration: str = "minmax",
    symmetric: bool = False,
    per_channel: bool = True,
    equalise: bool = False,
    correct_bias: bool = False,
    rounding: str = "nearest",
    kept: Collection[str] = (),
    validation: tuple[Any, Any] | None = None,
    max_accuracy_drop: float | None = None,
    never_slower: bool = False,
    finetune_epochs: int = 0,
    learning_rate: float = 1e-4,
    batch: int = DEFAULT_BATCH,
    threads: int = 1,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Outcome:
    """Quantises a model after training: 8-bit integers for weights and activations.

    Args:
        model: path of an ONNX file, its bytes, or a graph.
        data: samples along the first axis that ranges are calibrated on, or (x, y).
        calibration: how ranges are chosen from what was seen: "minmax", "percentile", "entropy" or "mse".
        symmetric: whether activations with negative values are counted around the middle step.
        per_channel: whether each output channel of weights has steps of its own.
        equalise: whether channels are scaled first so that weights of successive layers spread alike.
        correct_bias: whether biases make up for what rounding the weights adds to means.
        rounding: of weights, "nearest" or "adaptive" (up or down, whichever makes a layer's output closer).
        kept: keys of layers (their first output) that stay float.
        validation: (x, y) that accuracy is measured on; by default `data`, where that has classes.
        max_accuracy_drop: share of accuracy that may be lost; the most sensitive layers stay float for it.
        never_slower: whether layers stay float where integers are not faster on this machine.
        finetune_epochs: epochs of training on `data` with roundings in place, after layers are chosen.
        learning_rate: of that training, at its start.
        batch: samples of a run, where the model leaves that open.
        threads: workers of a run.
        cache: file that answers are kept in; by default that of measurements.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The quantised model, with its accuracy and times where they were measured.

    Raises:
        InputError: an argument is not one of those above, or data do not fit the model.

    Example:
        >>> quantized = quantize("model.onnx", x[:100], calibration="percentile")
        >>> quantized.save("model_int8.onnx")
        >>> (y,) = thew.InferenceSession("model_int8.onnx").run(None, {"input": x[:1]})
    """
    method = Method(calibration, symmetric, per_channel, correct_bias, rounding)
    asked = validation if validation is not None else data if isinstance(data, tuple) else None
    if max_accuracy_drop is not None and (asked is None or not 0 <= max_accuracy_drop <= 1):
        raise InputError(
            f"max_accuracy_drop: must be from 0 to 1 and come with classes, got {max_accuracy_drop!r}; give data=(x, y)"
        )
    if finetune_epochs and not isinstance(data, tuple):
        raise InputError(f"finetune_epochs: must come with data=(x, y), got {finetune_epochs} without classes")
    source = read(model)
    calibrator = Calibrator(
        source, data, equalise=equalise, batch=batch, threads=threads, progress=progress, cache=cache or default_path()
    )
    judge = None
    if asked is not None:
        judge = Judge(source, labelled(asked), batch=batch, threads=threads, cache=cache or default_path())
    fixed = tuple(kept)
    if judge is not None and max_accuracy_drop is not None:
        drop, keeps = max_accuracy_drop, judge.keeps
        accurate = keep_accurate(calibrator, lambda one: keeps(one.graph, drop)[0], method, fixed, progress)
        fixed = accurate.kept
    found, timing = calibrator.quantize(fixed, method), None
    if never_slower:
        found, timing = keep_faster(calibrator, method, fixed, threads, progress)
    if finetune_epochs:
        training = Training(finetune_epochs, learning_rate, threads=threads, progress=progress)
        found = finetune_quantized(calibrator.graph, found.kept, labelled(data), training)
    outcome = Outcome(
        **{name: getattr(found, name) for name in ("graph", "layers", "kept", "encodings", "weights")},
        timing=timing,
        inaccurate=tuple(key for key in fixed if key not in kept),
        slower=tuple(key for key in found.kept if key not in fixed) if timing is not None else (),
    )
    return outcome if judge is None else replace(outcome, before=judge.before, after=judge.accuracy(found.graph))
