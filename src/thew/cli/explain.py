"""``thew explain``: the plan of a model, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thew.cli import models, show
from thew.cli.options import Common


def explain(
    common: Common,
    model: Annotated[str, typer.Argument(help="An ONNX file, or a network of the zoo such as resnet50.")],
    batch: Annotated[int, typer.Option(min=1, help="Extent of a symbolic batch.")] = 1,
    size: Annotated[int | None, typer.Option(min=1, help="Height and width where they are symbolic.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Follow this saved plan.")] = None,
    save_plan: Annotated[Path | None, typer.Option(help="Write the plan to this file.")] = None,
) -> None:
    """Shows how each layer is run: algorithm, precision, time, GFLOP/s, share of the peak, bytes."""
    import numpy as np

    import thew

    source = models.load(model, common.seed)
    session = thew.InferenceSession(source, threads=common.threads, precision=common.precision, plan=plan)
    shape = models.input_shape(session, batch, size)
    declared = session.get_inputs()[0]
    draws = np.random.default_rng(common.seed).standard_normal(shape)
    session.run(None, {declared.name: draws.astype(models.numpy_dtype(declared.type))})
    if save_plan is not None:
        session.plan.save(save_plan)
    explained = session.explain()
    if common.json:
        rows = [row if isinstance(row, dict) else models.as_mapping(row) for row in explained.rows]
        show.as_json({"model": model, "peak_memory_bytes": session.peak_memory_bytes, "rows": rows})
        return
    show.line(str(explained))
    show.line(f"peak memory {show.size(session.peak_memory_bytes)} (arena and weights)")
