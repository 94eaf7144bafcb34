"""``thew bench soak``: an hour of deep Q-learning under watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thew.cli import show
from thew.cli.options import Common


def soak(
    common: Common,
    env_id: Annotated[str, typer.Argument(help="Gymnasium's name of the environment.")] = "CartPole-v1",
    seconds: Annotated[float, typer.Option(min=1, help="How long it trains.")] = 3600,
    period: Annotated[float, typer.Option(min=0.1, help="Seconds between samples.")] = 60,
    out: Annotated[Path | None, typer.Option(help="Write machine, versions, command and samples here.")] = None,
) -> None:
    """Trains for so long: whether memory stays where it was, and whether nothing works once it is over."""
    from thew.bench.soak import soak as run

    found = run(env_id, seconds, period, common.precision, common.threads)
    if show.report(found, out, common.json):
        return
    count, grown, idle = len(found["samples"]), show.size(found["growth_bytes"]), found["idle_share"]
    show.line(f"{count} samples: memory grew by {grown}; once over, the process took {idle:.2%} of a core")
