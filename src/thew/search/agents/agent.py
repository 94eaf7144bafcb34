"""What an agent is: it is asked for an assignment and told what that is worth, once an episode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import ClassVar

import numpy as np

from thew.errors import InputError
from thew.search.game import Assignment, Table


class Agent(ABC):
    """One method of search. Its settings are its constructor's arguments; `begin` starts a new search.

    Attributes:
        name: what it is called on the command line.
        summary: what it does, in a line.
        learns: whether it learns from what its assignments are worth; False for what knows where it goes.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    learns: ClassVar[bool] = True

    def begin(self, table: Table, episodes: int, seed: int) -> None:
        """Forgets all, and prepares for `episodes` assignments of that table."""
        if episodes < 1:
            raise InputError(f"agent '{self.name}': episodes must be at least 1, got {episodes}")
        self.table, self.episodes, self.episode = table, episodes, 0
        self.random = np.random.default_rng(seed)

    @abstractmethod
    def ask(self) -> Assignment:
        """The next assignment to be valued: one that the table allows."""

    def tell(self, chosen: Assignment, value: float) -> None:
        """Takes in what the assignment asked for is worth; less is better, infinite where it breaks a constraint."""
        self.episode += 1

    def any_option(self, layer: int, chosen: list[int]) -> int:
        """A random option among those that may follow the choices made before."""
        allowed = self.table.allowed(layer, chosen)
        return allowed[int(self.random.random() * len(allowed))]

    def random_assignment(self) -> Assignment:
        """Independent random choices."""
        chosen: list[int] = []
        for layer in range(len(self.table)):
            chosen.append(self.any_option(layer, chosen))
        return tuple(chosen)

    def repaired(self, wanted: Assignment) -> Assignment:
        """The assignment, with a random option wherever the one wanted cannot follow those before it."""
        chosen: list[int] = []
        for layer, option in enumerate(wanted):
            allowed = np.isfinite(self.table.costs(layer, chosen)[option])
            chosen.append(option if allowed else self.any_option(layer, chosen))
        return tuple(chosen)


@dataclass
class Found:
    """What a search found.

    Attributes:
        best: the best assignment.
        value: its value.
        values: of each episode, in order.
        seconds: taken.
    """

    best: Assignment = ()
    value: float = np.inf
    values: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def curve(self) -> np.ndarray:
        """The best value known after each episode."""
        return np.minimum.accumulate(np.asarray(self.values, dtype=np.float64))


def episodes(agent: Agent, table: Table, count: int, seed: int = 0) -> Iterator[Found]:
    """Plays `count` episodes, and gives what is known after each."""
    agent.begin(table, count, seed)
    found, started = Found(), perf_counter()
    for _ in range(count):
        chosen = agent.ask()
        value = table.value(chosen)
        agent.tell(chosen, value)
        found.values.append(value)
        if value < found.value or not found.best:
            found.best, found.value = chosen, value
        found.seconds = perf_counter() - started
        yield found


def play(agent: Agent, table: Table, count: int, seed: int = 0) -> Found:
    """Plays `count` episodes."""
    *_, found = episodes(agent, table, count, seed)
    return found
