"""Environments in the other processes of an MPI job: actors on ranks 1, 2, …, the learner on rank 0.

The learner chooses the actions of all environments in one batch and hands every rank its own; while the ranks step, it
learns. No rank has weights, so none acts by old ones, and a run is that of one process with as many environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from thew.errors import InputError
from thew.ir.graph import Array
from thew.rl.environments import Environments, Step, make
from thew.train.parallel import Group


class RankEnvironments:
    """The environments of all ranks, as `Environments` are those of one process.

    Args:
        group: the job; rank 0 has this object, all others are in `serve`.
        env_id: what they play.
        options: for `gymnasium.make`.
        count: environments; every rank but the first has an equal share.
        seed: as of `Environments`.

    Raises:
        InputError: there are fewer environments than ranks for them.
    """

    has_workers = True

    def __init__(self, group: Group, env_id: str, options: dict[str, Any], count: int, seed: int) -> None:
        actors = group.size - 1
        if count < actors:
            raise InputError(f"DQN: num_envs must be at least 1 for each of {actors} actors, got {count}")
        self._group = group
        self._shares = list(pairwise(count * rank // actors for rank in range(actors + 1)))
        for rank, (first, last) in enumerate(self._shares, 1):
            group.send((env_id, options, seed, first, last - first), rank)

    def __len__(self) -> int:
        return self._shares[-1][1]

    def reset(self) -> list[Array]:
        """The first frames of new games."""
        return self._asked("reset")

    def state(self) -> list[dict[str, Any]]:
        """As `Environments.state`."""
        return self._asked("state")

    def skip(self, states: Sequence[dict[str, Any]]) -> None:
        """As `Environments.skip`."""
        self._ask("skip", [[states]] * len(self._shares))
        self._answers()

    def restore(self, states: Sequence[dict[str, Any]], shown: Sequence[Array]) -> list[Array | None]:
        """As `Environments.restore`."""
        return self._asked("restore", states, shown)

    def send(self, actions: Array) -> None:
        """Starts a step of each."""
        self._ask("step", self._shared(list(actions)))

    def receive(self) -> list[Step]:
        """What came of the steps that were started."""
        return self._answers()

    def close(self) -> None:
        """Lets the other ranks go."""
        for rank in range(1, self._group.size):
            self._group.send(None, rank)

    def _asked(self, method: str, *values: Sequence[Any]) -> list[Any]:
        self._ask(method, self._shared(*values))
        return self._answers()

    def _shared(self, *values: Sequence[Any]) -> list[list[Any]]:
        return [[each[first:last] for each in values] for first, last in self._shares]

    def _ask(self, method: str, arguments: Sequence[Sequence[Any]]) -> None:
        for rank, each in enumerate(arguments, 1):
            self._group.send((method, each), rank)

    def _answers(self) -> list[Any]:
        """The answers of all ranks, one behind the other."""
        return [value for rank in range(1, self._group.size) for value in self._group.receive(rank) or ()]


def serve(group: Group) -> None:
    """Steps this rank's environments as rank 0 says, until it has no more to say."""
    env_id, options, seed, first, count = group.receive(0)
    environments = Environments([make(env_id, **options) for _ in range(count)], seed, first=first)
    while (asked := group.receive(0)) is not None:
        method, arguments = asked
        group.send(getattr(environments, method)(*arguments), 0)
    environments.close()
