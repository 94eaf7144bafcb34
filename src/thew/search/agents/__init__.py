"""Agents: one method of search a file, behind `Agent`."""

from __future__ import annotations

from typing import Any

from thew.errors import InputError
from thew.search.agents.agent import Agent, Found, episodes, play
from thew.search.agents.annealing import Annealing
from thew.search.agents.baselines import Exact, Greedy, Random, SingleLibrary
from thew.search.agents.bayesian import Bayesian
from thew.search.agents.cautious import Cautious
from thew.search.agents.deep_q import DeepQ
from thew.search.agents.evolution import Evolution
from thew.search.agents.milp import Milp
from thew.search.agents.q_learning import QLearning

AGENTS: dict[str, type[Agent]] = {
    agent.name: agent
    for agent in (
        QLearning,
        DeepQ,
        Random,
        Greedy,
        SingleLibrary,
        Annealing,
        Evolution,
        Bayesian,
        Exact,
        Cautious,
        Milp,
    )
}


def make_agent(name: str, **settings: Any) -> Agent:
    """The agent of that name, with its settings. Raises InputError for a name or setting that it has not."""
    if name not in AGENTS:
        raise InputError(f"agent: must be among {', '.join(AGENTS)}, got {name!r}")
    try:
        return AGENTS[name](**settings)
    except TypeError as error:
        raise InputError(f"agent '{name}': {error}") from error


__all__ = ["AGENTS", "Agent", "Found", "episodes", "make_agent", "play"]
