"""``thew explain``: the plan of a model, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    alternatives: Annotated[bool, typer.Option(help="List all ways to run each layer, with estimates.")] = False,
) -> None:
    """Shows how each layer is run: algorithm, precision, time, GFLOP/s, share of the peak, bytes."""
    import thew
    from thew.plan import PlanOptions

    source = models.load(model, common.seed)
    options = PlanOptions.without(without) if without else None
    session = thew.InferenceSession(
        source, threads=common.threads, precision=common.precision, plan=plan, options=options
    )
    shapes = {declared.name: models.shape_of(declared, batch, size) for declared in session.get_inputs()}
    if alternatives:
        _show_alternatives(common, source, session, shapes)
        return
    explained = session.explain(shapes)
    if save_plan is not None:
        session.plan.save(save_plan)
    if common.json:
        show.as_json({"model": model, **explained.to_dict()})
    else:
        show.line(str(explained))


def _show_alternatives(common: Common, source: Any, session: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    from thew.ir import Graph
    from thew.onnx import read
    from thew.runtime.device import target
    from thew.runtime.survey import survey_model

    session.prepare(shapes)
    plan = session.plan
    graph = source if isinstance(source, Graph) else read(source)
    found = survey_model(graph, target(common.threads), shapes, plan.options)
    if common.json:
        show.as_json(
            {key: [_entry(way, way.choice == plan.choices.get(key)) for way in ways] for key, ways in found.items()}
        )
        return
    rows = [
        [key if first else "", way.choice.row, way.choice.layout, way.choice.precision, f"{way.seconds * 1e6:.1f}",
         f"{way.packed_bytes / 1e3:.0f}", "chosen" if way.choice == plan.choices.get(key) else ""]
        for key, ways in found.items()
        for first, way in ((way is ways[0], way) for way in ways)
    ]  # fmt: skip
    show.table(
        "Ways to run each layer, as estimated", ("layer", "kernel", "layout", "precision", "µs", "KB packed", ""), rows
    )


def _entry(way: Any, chosen: bool) -> dict[str, Any]:
    from dataclasses import asdict

    cost = asdict(way.alternative.cost)
    sizes = {"scratch_bytes": way.scratch_bytes, "packed_bytes": way.packed_bytes}
    return {**asdict(way.choice), "seconds": way.seconds, **cost, **sizes, "chosen": chosen}
