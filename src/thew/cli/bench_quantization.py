"""``thew bench quantization``: what integers cost in accuracy and bring in time, beside ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thew.cli import models, samples, show
from thew.cli.options import Common


def bench_quantization(
    common: Common,
    model: Annotated[str, typer.Argument(help="A float ONNX file of one input, or a network of the zoo.")],
    data: Annotated[
        Path,
        typer.Option(help="Pictures whose names begin with the number of their class, or an .npz file with x and y."),
    ],
    preprocess: Annotated[str, typer.Option(help="As thew run has it, for pictures.")] = "auto",
    calibrate_on: Annotated[int, typer.Option(min=1, help="Samples for calibration; accuracy is of the others.")] = 100,
    most: Annotated[int, typer.Option(min=1, help="Samples that accuracy is measured on, at most.")] = 1000,
    calibration: Annotated[str, typer.Option(help="minmax, percentile, entropy or mse.")] = "minmax",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each gives everybody one turn.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write machine, versions, command and results here.")] = None,
) -> None:
    """Accuracy and time of a network in fp32 and on 8-bit integers, by Thew and by ONNX Runtime."""
    from thew.bench.machine import describe
    from thew.bench.quantization import compete
    from thew.compress import quantize
    from thew.compress.accuracy import Data, labelled
    from thew.compress.post_training import read

    graph = read(models.load(model, common.seed))
    taken, others = samples.split(samples.read(data, graph, preprocess), calibrate_on, common.seed)
    held_out = labelled((others[0][:most], others[1][:most]))
    with show.stages() as progress:
        outcome = quantize(
            graph,
            taken[0],
            calibration=calibration,
            correct_bias=True,
            never_slower=True,
            threads=common.threads,
            progress=progress,
        )
    found, absent = compete(graph, outcome, Data(*taken), held_out, common.threads, rounds)
    results = [one.to_dict(found[0]) for one in found]
    kept = {"layers": len(outcome.layers), "kept": list(outcome.kept), "slower": list(outcome.slower), "absent": absent}
    report = {**describe(), "model": model, "threads": common.threads, "rounds": rounds, **kept, "results": results}
    if show.report(report, out, common.json):
        return
    columns = ("", "accuracy", "median ms", "speed over thew fp32", "file")
    rows = [
        (
            one.name,
            str(one.accuracy),
            f"{1e3 * result['median_seconds']:.3f}",
            f"{result['speed_over_first']:.2f}",
            show.size(one.model_bytes),
        )
        for one, result in zip(found, results, strict=True)
    ]
    if absent:
        show.note(f"left out: {absent}")
    show.table(f"{model}, {common.threads} threads", columns, rows)
