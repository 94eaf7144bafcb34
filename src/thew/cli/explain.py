"""``thew explain``: the plan of a model, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thew.cli import models, show
from thew.cli.options import Common, Without


def explain(
    common: Common,
    model: Annotated[str, typer.Argument(help="An ONNX file, or a network of the zoo such as resnet50.")],
    batch: Annotated[int, typer.Option(min=1, help="Extent of a symbolic batch.")] = 1,
    size: Annotated[int | None, typer.Option(min=1, help="Height and width where they are symbolic.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Follow this saved plan.")] = None,
    save_plan: Annotated[Path | None, typer.Option(help="Write the plan to this file.")] = None,
    without: Without = None,
) -> None:
    """Shows how each layer is run: algorithm, precision, time, GFLOP/s, share of the peak, bytes."""
    import thew
    from thew.plan import PlanOptions

    source = models.load(model, common.seed)
    options = PlanOptions.without(without) if without else None
    session = thew.InferenceSession(
        source, threads=common.threads, precision=common.precision, plan=plan, options=options
    )
    explained = session.explain(
        {declared.name: models.shape_of(declared, batch, size) for declared in session.get_inputs()}
    )
    if save_plan is not None:
        session.plan.save(save_plan)
    if common.json:
        show.as_json({"model": model, **explained.to_dict()})
    else:
        show.line(str(explained))
