"""Measures the pieces of a study that are not measured yet."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thew.bench.energy import EnergySettings
from thew.bench.frequency import capped
from thew.bench.machine import describe
from thew.bench.rounds import Settings, measure
from thew.bench.study.pieces import Piece
from thew.bench.tasks import Task
from thew.files import write_json

MakeTask = Callable[[Any, str], tuple[Task, int]]  # (piece, folder) → the work, its operations (0: not told)


@dataclass(frozen=True)
class Study:
    """A model's study in a folder.

    Attributes:
        model: its name, for titles.
        folder: where the pieces' files, the plots and the report lie.
        peers: whom Thew is compared with.
        settings: rounds and turns of each piece.
        energy: the meter, where there is one.
        energy_source: what it reads, or why there is none.
    """

    model: str
    folder: Path
    peers: Sequence[str]
    settings: Settings
    energy: EnergySettings | None
    energy_source: str

    def path(self, piece: Piece) -> Path:
        """The file of a piece."""
        return self.folder / f"{piece.name}.json"

    def run(
        self,
        pieces: Sequence[Piece],
        make_task: MakeTask,
        budget_seconds: float | None = None,
        tick: Callable[[str], None] = lambda name: None,
    ) -> list[Piece]:
        """Measures pieces without a file, in order; begins none once the budget is spent. Returns those still missing.

        Raises:
            Error: Thew itself cannot do a piece.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        missing = [piece for piece in pieces if not self.path(piece).exists()]
        while missing and (budget_seconds is None or time.monotonic() - started < budget_seconds):
            piece = missing.pop(0)
            write_json(self.path(piece), self._measure(piece, make_task, tick))
        return missing

    def _measure(self, piece: Piece, make_task: MakeTask, tick: Callable[[str], None]) -> dict[str, Any]:
        from thew.runtime.device import measure_peak_flops

        with tempfile.TemporaryDirectory(prefix="thew-study-") as folder, capped(piece.mhz):
            task, flops = make_task(piece, folder)
            measured = measure(
                task,
                piece.contenders(self.peers),
                self.settings,
                lambda name: tick(f"{piece.name} {name}"),
                lambda: measure_peak_flops("fp32", piece.threads),
                self.energy,
            )
        about = {"kind": piece.kind, "threads": piece.threads, "batch": piece.batch, "mhz": piece.mhz}
        energy = {"source": self.energy_source} if self.energy is not None else {"absent": self.energy_source}
        result = {"title": f"{self.model}, {piece.name}", "flops": flops, "energy": energy, **measured.to_dict()}
        return {**describe(), "piece": about, "results": [result]}
