"""Where the importer is: which names and operator sets hold in the graph or function body that it walks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from thew.errors import ModelError


class NotCoveredError(Exception):
    """A node of a function's body has no op: the function as a whole becomes a foreign op."""


@dataclass
class Scope:
    """The names of one graph or function body, and the operator sets that it uses."""

    opsets: Mapping[str, int]
    names: dict[str, str] | None = None  # to the graph's names; None where they are the same
    prefix: str = ""
    depth: int = 0
    is_trial: bool = False  # whether a node without op ends the walk
    stack: tuple[tuple[str, str], ...] = field(default=())

    def resolve(self, name: str, where: str) -> str:
        """The graph's name of a value."""
        if self.names is None or not name:
            return name
        if name not in self.names:
            raise ModelError(f"{where}: input '{name}' must be defined before it is used")
        return self.names[name]
