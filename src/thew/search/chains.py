"""Chains that run depth first, each judged where it runs: by its strips as they are, lower or higher, or step by step.

A chain is no layer of the table: what it saves is what its steps hand to one another. So whole networks run, all chains
in one way in each, and every chain keeps what was fastest for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from thew.plan import Choice, Step, key_of
from thew.plan.blocking import APART
from thew.search.environment import Environment
from thew.search.game import Assignment
from thew.search.trial import Network, Trials

WAYS = (APART, "low", "high")
_MARGIN = 0.97  # of the time as it is: what wins by less may be noise
Times = Iterable[tuple[tuple[str, ...], float]]


def with_chains(environment: Environment, trials: Trials, chosen: Assignment, network: Network) -> Network | None:
    """The network of an assignment with each of its chains in the way that is fastest there; None where none gains."""
    chains = [step for step in network.plan.steps if step.stages]
    if not chains:
        return None
    keys = {node.name or str(node): key_of(node) for node in environment.graph_of(chosen).nodes}
    names = [frozenset(stage.name for stage in step.stages) for step in chains]
    before = _seconds(names, trials.in_place(network))
    best = dict(enumerate(before))
    taken: dict[str, Choice] = {}
    for way in WAYS:
        changes = [_changes(step, way, keys, network.plan.choices) for step in chains]
        merged = {key: choice for change in changes for key, choice in change.items()}
        tried = environment.changed(chosen, {**network.plan.choices, **merged})
        if tried is None:
            continue
        for index, seconds in enumerate(_seconds(names, trials.in_place(tried))):
            if 0 < seconds < min(best[index], _MARGIN * before[index]):
                best[index] = seconds
                taken.update({key: network.plan.choices[key] for key in taken.keys() & changes[index].keys()})
                taken.update(changes[index])
    return environment.changed(chosen, {**network.plan.choices, **taken}) if taken else None


def _changes(step: Step, way: str, keys: Mapping[str, str], choices: Mapping[str, Choice]) -> dict[str, Choice]:
    """What makes a chain run in a way: all of its stages but the first apart, or the last with another blocking."""
    stages = step.stages[1:] if way == APART else step.stages[-1:]
    found = [keys[stage.name] for stage in stages if stage.name in keys]
    return {key: replace(choices[key], blocking=way) for key in found if key in choices}


def _seconds(chains: Iterable[frozenset[str]], steps: Times) -> list[float]:
    """What the steps of each chain take, as one or apart."""
    steps = list(steps)
    return [sum(seconds for names, seconds in steps if chain.issuperset(names)) for chain in chains]
