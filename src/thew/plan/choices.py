"""`Choice`: how one node is to be run. `Choices` map nodes to them: what a search forces, and what a plan records.

A node is known by the name of its first output, which is its alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thew.errors import PlanError
from thew.ir import Node


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to run a node; an empty field leaves that to the planner.

    Attributes:
        algorithm: family and algorithm of the kernel table, ``conv.implicit``; ``view.strided`` for an op that only
            moves data.
        row: name of the row.
        layout: of the images that the node reads and writes: "channels_last" or "plain".
        precision: element type that the row multiplies.
    """

    algorithm: str = ""
    row: str = ""
    layout: str = ""
    precision: str = ""

    def allows(self, other: Choice) -> bool:
        """Whether another, complete choice agrees wherever this one says something."""
        return (
            self.algorithm in ("", other.algorithm)
            and self.row in ("", other.row)
            and self.layout in ("", other.layout)
            and self.precision in ("", other.precision)
        )

    def __str__(self) -> str:
        said = (self.row or self.algorithm, self.layout, "" if self.row else self.precision)
        return " ".join(filter(None, said)) or "free"


Choices = Mapping[str, Choice]


def key_of(node: Node) -> str:
    """The name under which `Choices` know a node."""
    return next(name for name in node.outputs if name)


def check_choices(choices: Choices, keys: frozenset[str]) -> None:
    """Refuses choices for nodes that are not there. Raises PlanError."""
    for key, choice in choices.items():
        if key not in keys:
            some = ", ".join(sorted(keys)[:3])
            raise PlanError(f"choice for '{key}': must name a node's first output such as {some}, got {choice}")
