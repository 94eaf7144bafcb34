"""Checkpoints of agents, in the format of those of training (decision 019): one file of safetensors with the policy's
graph, all states and a description, which appears whole or not at all.

The replay memory and the games under way are in it where that is asked for; without, a resumed run begins new games.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from thew.errors import CheckpointError
from thew.rl.environments import Episode
from thew.rl.replay import TREE
from thew.train.checkpoint import read, write

if TYPE_CHECKING:
    from thew.ir.graph import Array
    from thew.rl.dqn import DQN

_TARGET, _BEST, _STACKS = "target.", "best.", "environments.stacks"


def save(agent: DQN, path: str | os.PathLike[str], replay: bool) -> None:
    """Writes what an agent is."""
    seen, wide = agent.observation, agent.precision.wide
    graph = agent.network.graph(("n", *seen.shape), dtype=wide, input_dtype=seen.dtype, name="policy")
    networks = agent.learner.networks
    states = {**agent.learner.states, **{f"{_TARGET}{k}": v for k, v in networks.target.named_parameters()}}
    states.update((f"{_BEST}{name}", array) for name, array in agent.best.items())
    if replay:
        states.update(agent.replay.saved())
        states.update({} if agent.stacks is None else {_STACKS: agent.stacks})
    description = {
        "agent": "dqn",
        "env_id": agent.env_id,
        "env_options": agent.env_options,
        "hyperparameters": asdict(agent.hyperparameters),
        "precision": agent.precision.name,
        "threads": agent.threads,
        "replay_compression": agent.replay.packed is not None,
        "seed": agent.seed,
        "counters": {key: value for key, value in asdict(agent.counters).items() if key != "stopped"},
        "random": agent.random.bit_generator.state,
        "replay": agent.replay.position() if replay else None,
        "games": [(game.episodic_return, game.length) for game in agent.games],
        "environments": agent.environments.state(),
    }
    write(path, graph, states, description)


def load(path: str | os.PathLike[str], options: dict[str, Any]) -> DQN:
    """The agent that a checkpoint is of."""
    from thew.rl.dqn import DQN

    where = f"checkpoint '{os.fspath(path)}'"
    graph, states, known = read(path)
    if known.get("agent") != "dqn":
        raise CheckpointError(f"{where}: must be of an agent of DQN, got one of training; use thew.Trainer.resume")
    given = {
        "precision": known["precision"],
        "threads": known["threads"],
        "seed": known["seed"],
        "env_options": known["env_options"],
        "replay_compression": known.get("replay_compression", False),
        **known["hyperparameters"],
    }
    agent = DQN(known["env_id"], **{**given, **options})
    networks = agent.learner.networks
    found = {**graph.constants, **states}
    for name, array in networks.online.named_parameters():
        _restore(where, array, found, name)
    for name, array in networks.target.named_parameters():
        _restore(where, array, found, f"{_TARGET}{name}")
    for name, array in agent.learner.states.items():
        _restore(where, array, found, name)
    for name, value in known["counters"].items():
        setattr(agent.counters, name, value)
    if agent.counters.best is not None:
        agent.best = {name: np.zeros_like(array) for name, array in networks.online.named_parameters()}
    for name, array in agent.best.items():
        _restore(where, array, found, f"{_BEST}{name}")
    agent.random.bit_generator.state = known["random"]
    agent.games.extend(Episode(*game) for game in known.get("games", ()))
    _resume_games(agent, where, known, found)
    return agent


def _resume_games(agent: DQN, where: str, known: dict[str, Any], found: dict[str, Array]) -> None:
    """Replay memory and games go on where they were saved and fit; else games begin that were not played before."""
    replay, games = agent.replay, known.get("environments", [])
    is_kept = known["replay"] is not None and _STACKS in found and len(games) == len(agent.environments)
    if not is_kept or found[TREE].shape != replay.arrays[TREE].shape:
        agent.environments.skip(games)
        return
    try:
        replay.restore(known["replay"], found)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{where}: replay memory must be stored as it was, got {error}; load it as it was saved"
        ) from error
    agent.resume_games(found[_STACKS], games)


def _restore(where: str, array: Array, found: dict[str, Array], name: str) -> None:
    if name not in found or found[name].shape != array.shape:
        raise CheckpointError(f"{where}: must have '{name}' of shape {array.shape}; load it as it was saved")
    np.copyto(array, found[name])
