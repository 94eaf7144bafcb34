"""`Choice`: how one node is to be run. `Choices` map nodes to them: what a search forces, and what a plan records.

A node is known by the name of its first output, which is its alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from thew.errors import PlanError
from thew.ir import Node
from thew.plan.blocking import FITTED


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to run a node; an empty field leaves that to the planner.

    Attributes:
        algorithm: family and algorithm of the kernel table, ``conv.implicit``; ``view.strided`` for an op that only
            moves data.
        row: name of the row.
        layout: of the images that the node reads and writes: "channels_last" or "plain".
        precision: element type that the row multiplies.
        threads: that run the node, at most the plan's; 0 leaves them to the planner.
        blocking: one of `thew.plan.blocking.BLOCKINGS`.
    """

    algorithm: str = ""
    row: str = ""
    layout: str = ""
    precision: str = ""
    threads: int = 0
    blocking: str = ""

    def allows(self, other: Choice) -> bool:
        """Whether another, complete choice agrees wherever this one says something."""
        return (
            self.algorithm in ("", other.algorithm)
            and self.row in ("", other.row)
            and self.layout in ("", other.layout)
            and self.precision in ("", other.precision)
            and self.threads in (0, other.threads)
            and self.blocking in ("", other.blocking)
        )

    def __str__(self) -> str:
        said = [self.row or self.algorithm, self.layout, "" if self.row else self.precision]
        said.append("" if self.blocking == FITTED else self.blocking)
        said.append(f"on {self.threads} threads" if self.threads > 1 else "")
        return " ".join(filter(None, said)) or "free"


MOST_THREADS = 1024
Choices = Mapping[str, Choice]


def key_of(node: Node) -> str:
    """The name under which `Choices` know a node."""
    return next(name for name in node.outputs if name)


def choice_from(said: Mapping[str, Any]) -> Choice:
    """A choice as a plan's file has it. Raises PlanError for what is none."""
    kinds = {one.name: type(one.default) for one in fields(Choice)}
    wrong = [name for name, value in said.items() if type(value) is not kinds.get(name)]
    if wrong or not 0 <= said.get("threads", 0) <= MOST_THREADS:
        raise PlanError(f"choice: must have words, and threads up to {MOST_THREADS}, got {dict(said)}; plan again")
    return Choice(**said)


def check_choices(choices: Choices, keys: frozenset[str]) -> None:
    """Refuses choices for nodes that are not there. Raises PlanError."""
    for key, choice in choices.items():
        if key not in keys:
            some = ", ".join(sorted(keys)[:3])
            raise PlanError(f"choice for '{key}': must name a node's first output such as {some}, got {choice}")
