"""``thew bench ways``: what every way to run a layer takes, beside the planner's choice."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from thew.cli import show
from thew.cli.options import Common


def bench_ways(
    common: Common,
    kind: Annotated[str, typer.Argument(help="Which layers: weights, groups or few_outputs.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each profiles every way once.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Write machine, versions, command and all ways here.")] = None,
) -> None:
    """Layers of a kind in every way that the kernel table has for them."""
    from thew.bench.machine import describe
    from thew.bench.ways import LAYERS, time_ways
    from thew.runtime.device import target

    if kind not in LAYERS:
        raise typer.BadParameter(f"layers must be of {', '.join(LAYERS)}, got {kind!r}")
    device = target(common.threads)
    ways = [way for name, graph in LAYERS[kind]() for way in time_ways(name, graph, device, rounds)]
    about = {"layers": kind, "threads": common.threads, "rounds": rounds, "costs": device.costs.name}
    report = {**describe(), **about, "ways": [asdict(way) for way in ways]}
    if show.report(report, out, common.json):
        return
    rows = [
        (way.layer, way.algorithm, f"{1e6 * way.estimate:.1f}", f"{1e6 * way.seconds:.1f}", f"{way.ratio:.2f}")
        for way in ways
    ]
    show.table(f"{kind}, {common.threads} threads", ("layer", "algorithm", "estimate µs", "µs", "ratio"), rows)
