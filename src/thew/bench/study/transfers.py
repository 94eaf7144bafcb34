"""What measurements of one device save on another: the study's piece of transfers.

Two devices are made of one: the lesser has but the second-best instruction set with products in fp32 and those below,
the better has the others alone, so that no row is on both. The better one's times are looked up where a survey would
measure, so that what is left out can be judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

from thew.ir import Graph, TensorType
from thew.runtime.cache import Cache, Measurement
from thew.search.measure import Trial, measure, measurements
from thew.search.prepare import space_of
from thew.search.space import Settings
from thew.search.transfer import CostModel, Transfer, compare, describe

SAMPLES = (10, 30)


def transferred(source: Graph, types: Mapping[str, TensorType], threads: int) -> dict[str, Any]:
    """How a survey of the better device goes that starts from the lesser one's times: of the same layers among others,
    and of other networks' layers alone. Needs measurements of this network, and for the latter of others.
    """
    environment = space_of(source, types, Settings(threads=threads))
    with closing(measurements()) as kept:
        measure(environment.trials(), kept)
        every = kept.known()
    isas, rows = environment.target.isas, environment.target.rows
    base = [isa for isa in isas if any(row.isa == isa and row.a == "fp32" and row.mr for row in rows)]
    if len(base) < 2:
        return {"absent": f"{base} is all that has products in fp32"}
    lesser = isas[isas.index(base[1]) :]
    environment.target = replace(environment.target, rows=tuple(row for row in rows if row.isa not in lesser))
    trials = environment.trials()
    there = {key: one.seconds for key, one in every.items() if (said := describe(key)) and said.isa in lesser}
    layers = {trial.layer for trial in trials}
    strangers = {key: seconds for key, seconds in there.items() if not _is_of(key, layers)}
    here = {trial.key: every[trial.key] for trial in trials if trial.key in every}
    environment.fill(here, frozenset())
    table = environment.table()
    best = table.total(table.optimum())

    def learnt(given: Mapping[str, float]) -> dict[str, Any]:
        agreements = [asdict(compare(given, {key: one.seconds for key, one in here.items()}, n)) for n in SAMPLES]
        transfer = Transfer(CostModel(given), survey=lambda wanted, *_: (_looked_up(wanted, here), frozenset()))
        with closing(Cache("nobody", "")) as empty:
            known, _ = transfer.measure(trials, empty, 0.0)
        environment.fill(known, frozenset())
        chosen = environment.table().optimum()
        assert transfer.agreement is not None
        survey = {**asdict(transfer.agreement), "ways": len(here), "regret": table.total(chosen) / best - 1}
        return {"measurements": len(given), "agreements": agreements, "survey": survey}

    return {
        "lesser": lesser,
        "same_layers": learnt(there),
        "other_networks": learnt(strangers) if strangers else {"absent": "no other network was measured"},
    }


def _is_of(key: str, layers: set[str]) -> bool:
    """Whether a way to run a layer is for one of these."""
    return any(key.partition(",")[2].startswith(layer.strip("[]")) for layer in layers)


def _looked_up(trials: list[Trial], here: Mapping[str, Measurement]) -> dict[str, Measurement]:
    return {trial.key: here[trial.key] for trial in trials if trial.key in here}
