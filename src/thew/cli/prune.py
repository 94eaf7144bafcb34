"""``thew prune``: a smaller network, or zeros in patterns, with what that costs in accuracy and brings in time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thew.cli import files, models, samples, show
from thew.cli.options import Common

if TYPE_CHECKING:
    from thew.compress import Pruned


def prune(
    common: Common,
    model: Annotated[str, typer.Argument(help="A float ONNX file, or a network of the zoo.")],
    ratio: Annotated[float, typer.Option(help="Share of channels, or of blocks, that go.")] = 0.3,
    data: Annotated[
        Path | None,
        typer.Option(help="Pictures whose names begin with the number of their class, or an .npz file with x and y."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the model here; by default beside it, _pruned.onnx.")
    ] = None,
    preprocess: Annotated[str, typer.Option(help="As thew run has it, for pictures.")] = "auto",
    hold_out: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Share of the samples that accuracy is measured on.")
    ] = 0.2,
    criterion: Annotated[str, typer.Option(help="magnitude, bn-scale or taylor.")] = "magnitude",
    structure: Annotated[str, typer.Option(help="channels, n:m such as 2:4, or block.")] = "channels",
    multiple: Annotated[int, typer.Option(min=1, help="Channels that stay are rounded up to a multiple.")] = 8,
    finetune_epochs: Annotated[int, typer.Option(min=0, help="Epochs of training after pruning.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="Of that training, at its start.")] = 1e-3,
) -> None:
    """Prunes a model, trains it on where that is asked for, and writes it as ONNX."""
    from thew.compress import prune as shorten

    source = models.load(model, common.seed)
    known = asked = None
    if data is not None:
        given = samples.read(data, source, preprocess)
        asked, known = samples.split(given, max(1, round(hold_out * len(given[0]))), common.seed)
    with show.stages() as progress:
        pruned = shorten(
            source,
            ratio,
            criterion=criterion,
            structure=structure,
            data=known,
            validation=asked,
            multiple=multiple,
            finetune_epochs=finetune_epochs,
            learning_rate=learning_rate,
            threads=common.threads,
            seed=common.seed,
            progress=progress,
        )
    target, summary = files.write_compressed(pruned, model, source, "pruned", output, common.threads)
    if common.json:
        counts = {name: list(pair) for name, pair in pruned.groups.items()}
        show.as_json({"model": model, "output": str(target), **summary, "groups": counts, "zeros": pruned.zeros})
        return
    show.compared(f"{model}, pruned", summary)
    _show_groups(pruned)
    show.line(f"{100 * pruned.zeros:.1f} % of the weights are 0; model in {target}")


def _show_groups(pruned: Pruned) -> None:
    if pruned.groups:
        rows = [(name, before, after) for name, (before, after) in pruned.groups.items()]
        show.table("Channels", ("made first by", "before", "after"), rows)
    else:
        show.line("Dense layers and 1×1 convolutions leave zeros out where that is faster; other layers do not.")
