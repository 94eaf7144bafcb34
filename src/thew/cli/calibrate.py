"""``thew calibrate``: the rates that plans are chosen by, measured."""

from __future__ import annotations

from thew.cli import show
from thew.cli.options import Common


def calibrate(common: Common) -> None:
    """Measures this machine in seconds, and keeps the rates for all later plans."""
    from thew.runtime.calibrate import load_costs
    from thew.runtime.device import calibrate_device, device_key

    path = calibrate_device()
    costs = load_costs(device_key())
    if common.json:
        show.as_json({"device": device_key(), "path": str(path), "speed": costs.speed, "levels": costs.levels,
                      "step_seconds": costs.step_seconds, "join_seconds": costs.join_seconds,
                      "efficiencies": costs.efficiencies})  # fmt: skip
        return
    rows = [(key, f"{value:.2f}") for key, value in costs.efficiencies.items()]
    show.table(f"{device_key()}: efficiency of algorithms", ("algorithm / type / instruction set", "of nominal"), rows)
    show.line(f"several threads join in a step in {1e6 * costs.join_seconds:.1f} µs; kept in {path}")
