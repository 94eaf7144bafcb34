"""``thew quantize``: a float model to 8-bit integers, with what that costs in accuracy and brings in time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thew.cli import files, models, samples, show
from thew.cli.options import Common
from thew.errors import InputError

if TYPE_CHECKING:
    from thew.compress import Outcome
    from thew.ir import Graph


def quantize(
    common: Common,
    model: Annotated[str, typer.Argument(help="A float ONNX file, or a network of the zoo.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Pictures whose names begin with the number of their class, or an .npz file with x and y."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the model here; by default beside it, _int8.onnx.")
    ] = None,
    preprocess: Annotated[str, typer.Option(help="As thew run has it, for pictures.")] = "auto",
    samples_: Annotated[
        int, typer.Option("--calibrate-on", min=1, help="Samples for calibration; accuracy is measured on the others.")
    ] = 100,
    calibration: Annotated[str, typer.Option(help="minmax, percentile, entropy or mse.")] = "minmax",
    symmetric: Annotated[bool, typer.Option("--symmetric", help="Count activations around the middle step.")] = False,
    per_channel: Annotated[bool, typer.Option(help="Steps for each output channel of weights, or one for all.")] = True,
    equalise: Annotated[bool, typer.Option("--equalise", help="Scale channels so that weights spread alike.")] = False,
    correct_bias: Annotated[bool, typer.Option(help="Make up in biases for errors of means.")] = True,
    rounding: Annotated[str, typer.Option(help="nearest or adaptive.")] = "nearest",
    keep: Annotated[list[str] | None, typer.Option(help="A layer that stays float, by its first output.")] = None,
    max_accuracy_drop: Annotated[
        float | None, typer.Option(help="Share of accuracy that may be lost; sensitive layers stay float for it.")
    ] = None,
    never_slower: Annotated[
        bool, typer.Option(help="Layers stay float where integers are not faster on this machine.")
    ] = True,
    finetune_epochs: Annotated[
        int, typer.Option(min=0, help="Epochs of training on the samples of calibration, with roundings in place.")
    ] = 0,
    learning_rate: Annotated[float, typer.Option(help="Of that training, at its start.")] = 1e-4,
    weights_only: Annotated[
        bool, typer.Option("--weights-only", help="int8 weights for dense layers, all else in floats; takes no data.")
    ] = False,
) -> None:
    """Quantises a model after training, and writes it as an ONNX QDQ model."""
    from thew.compress import Outcome, quantize_weights
    from thew.compress import quantize as quantise

    source = models.load(model, common.seed)
    if weights_only:
        found = quantize_weights(source, per_channel=per_channel, kept=tuple(keep or ()))
        _write(common, model, source, Outcome(found.graph, found.layers, found.kept, {}, found.weights), output)
        return
    if data is None:
        raise InputError("data: must be given to calibrate on, got none; give --data, or take --weights-only")
    calibrated, judged = samples.split(samples.read(data, source, preprocess), samples_, common.seed)
    with show.stages() as progress:
        outcome = quantise(
            source,
            calibrated,
            finetune_epochs=finetune_epochs,
            learning_rate=learning_rate,
            calibration=calibration,
            symmetric=symmetric,
            per_channel=per_channel,
            equalise=equalise,
            correct_bias=correct_bias,
            rounding=rounding,
            kept=tuple(keep or ()),
            validation=judged,
            max_accuracy_drop=max_accuracy_drop,
            never_slower=never_slower,
            threads=common.threads,
            progress=progress,
        )
    _write(common, model, source, outcome, output)


def _write(common: Common, model: str, source: Graph | str, outcome: Outcome, output: Path | None) -> None:
    """Writes the model, and says what it is beside the float one."""
    target, summary = files.write_compressed(outcome, model, source, "int8", output, common.threads)
    if common.json:
        show.as_json({"model": model, "output": str(target), **summary, **_layers(outcome)})
        return
    show.compared(f"{model} on integers", summary)
    if outcome.timing is not None:
        _show_layers(outcome)
    show.line(f"{len(outcome.layers)} layers on integers, {len(outcome.kept)} on floats; model in {target}")


def _layers(outcome: Outcome) -> dict[str, Any]:
    timing = outcome.timing
    times = [] if timing is None else [
        {"layers": time.keys, "float_seconds": time.float_seconds, "integer_seconds": time.integer_seconds}
        for time in timing.layers
    ]  # fmt: skip
    return {
        "layers": list(outcome.layers),
        "kept": list(outcome.kept),
        "inaccurate": list(outcome.inaccurate),
        "slower": list(outcome.slower),
        "times": times,
    }


def _show_layers(outcome: Outcome) -> None:
    assert outcome.timing is not None
    why = {**dict.fromkeys(outcome.slower, "float: not faster"), **dict.fromkeys(outcome.inaccurate, "float: accuracy")}
    rows = [
        (
            " + ".join(time.keys),
            f"{1e6 * time.float_seconds:.1f}",
            f"{1e6 * time.integer_seconds:.1f}",
            why.get(time.keys[0], "integers" if time.keys[0] in outcome.layers else "float"),
        )
        for time in sorted(outcome.timing.layers, key=lambda time: -time.float_seconds)[:15]
    ]
    show.table("The slowest layers", ("layer", "float µs", "integers µs", "runs on"), rows)
