"""What studies share whose pieces are whole trainings: a file of each that has ended, and what an unfinished one goes
on from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from thew.bench.machine import describe
from thew.files import write_json


class Training(Protocol):
    """A frozen dataclass that says all of one training."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """Unique in the study."""


R = TypeVar("R", bound=Training)


@dataclass(frozen=True)
class Trainings(ABC, Generic[R]):
    """Trainings in a folder: a JSON file of each that has ended; beside it, what an unfinished one has written."""

    folder: Path
    unfinished: ClassVar[tuple[str, ...]]  # endings of those files

    def path(self, run: R) -> Path:
        """The file of a training."""
        return self.beside(run, "json")

    def beside(self, run: R, ending: str) -> Path:
        """A file of a training by its ending."""
        return self.folder / f"{run.name}.{ending}"

    def run(self, run: R) -> bool:
        """Trains where there is no file yet; False where a signal ended it, with a checkpoint."""
        if self.path(run).exists():
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        found = self.trained(run)
        if found is None:
            return False
        write_json(self.path(run), {**describe(), "run": asdict(run), **found})
        for ending in self.unfinished:
            self.beside(run, ending).unlink(missing_ok=True)
        return True

    @abstractmethod
    def trained(self, run: R) -> Mapping[str, Any] | None:
        """What came of a training; None where a signal ended it."""
