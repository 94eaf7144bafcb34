"""The pieces of a study, as data: which contenders meet at which work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from thew.plan import PlanOptions

REDUCED = ("fp16", "bf16")  # precisions that a model may be run in; int8 wants a quantised model


@dataclass(frozen=True)
class Piece:
    """One interleaved measurement: `name` is also its file's.

    Attributes:
        threads: of every contender.
        batch: images a call.
        mhz: the cap on the CPUs' clock; None leaves it to the system.
    """

    kind: ClassVar[str] = ""
    threads: int
    batch: int
    mhz: int | None = None

    @property
    def name(self) -> str:
        """Unique in the study."""
        clock = f"_{self.mhz}mhz" if self.mhz is not None else ""
        return f"{self.kind}_{self.threads}t_batch{self.batch}{clock}"

    def contenders(self, peers: Sequence[str]) -> list[str]:
        """Who takes part; the first is the measure of the others."""
        raise NotImplementedError


@dataclass(frozen=True)
class Cell(Piece):
    """Thew against its peers."""

    kind: ClassVar[str] = "peers"

    def contenders(self, peers: Sequence[str]) -> list[str]:
        """Thew, in both of its modes where they differ, and all peers; those not installed are named as absent."""
        has_parts = self.threads > 1 and self.batch > 1
        return ["thew", *(["thew:mode=throughput"] if has_parts else []), *peers]


@dataclass(frozen=True)
class Ablation(Piece):
    """Thew against itself: without each technique, with only one, without any; and in reduced precision."""

    kind: ClassVar[str] = "techniques"

    def contenders(self, peers: Sequence[str]) -> list[str]:
        """Variants of Thew by what is off."""
        names = techniques()
        threads = ["thew:threads=1"] if self.threads > 1 else []
        alone = [_without(other for other in names if other != name) for name in names]
        one_thread = [f"{_without(names)}:threads=1"] if threads else []
        reduced = [f"thew:precision={precision}" for precision in REDUCED]
        return ["thew", *(_without([name]) for name in names), *threads, _without(names), *alone, *one_thread, *reduced]


def techniques() -> list[str]:
    """Those that a plan can leave out."""
    return [field.name for field in fields(PlanOptions) if field.type in (bool, "bool")]


def _without(names: Iterable[str]) -> str:
    return ":".join(["thew", *(f"{name}=off" for name in names)])


def pieces_of(threads: Sequence[int], batches: Sequence[int], clocks: Sequence[int | None]) -> list[Piece]:
    """All pieces of a study; the techniques are looked at with the most threads and the smallest batch."""
    cells: list[Piece] = [Cell(count, batch, mhz) for mhz in clocks for batch in batches for count in threads]
    return [*cells, Ablation(max(threads), min(batches))]
