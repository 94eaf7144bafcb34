"""The study of DQN: a gradient step, a greedy action and whole environment steps against the peers' agents."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from thew.bench.study.pieces import Piece
from thew.bench.study.plots import save
from thew.bench.study.returns import returns_lines
from thew.bench.study.tables import about_machine, head
from thew.bench.tasks import DQNTask
from thew.files import write_atomically

_METHOD = "Contenders take turns; ratios are medians over rounds. The environment is one and the same for all."
PRECISIONS = ("mixed-fp16", "mixed-bf16", "mixed-fp64-fp16")
RETURNS = "returns"  # the folder of learning curves, and the part of the study that they are
TITLES = {"step": "gradient step", "act": "greedy action", "environment": f"{DQNTask.steps} environment steps"}


@dataclass(frozen=True)
class DQNPiece(Piece):
    """One kind of work with so many threads."""

    kind: ClassVar[str] = "dqn"
    work: str = "step"

    @property
    def name(self) -> str:
        """Unique in the study."""
        return f"{self.work}_{self.threads}t_batch{self.batch}"

    def contenders(self, peers: Sequence[str]) -> list[str]:
        """Thew in fp32, its mixed precisions where gradients are computed, and all peers."""
        mixed = [f"thew:precision={precision}" for precision in PRECISIONS] if self.work == "step" else []
        return ["thew", *mixed, *peers]


def dqn_pieces(threads: Sequence[int], batches: Sequence[int]) -> list[DQNPiece]:
    """All pieces: gradient steps for each batch; actions are of one observation, environment steps learn from 32."""
    steps = [DQNPiece(count, batch, work="step") for batch in batches for count in threads]
    rest = [("act", 1), ("environment", 32)]
    return [*steps, *(DQNPiece(count, batch, work=work) for work, batch in rest for count in threads)]


def dqn_task(piece: DQNPiece, folder: str, seed: int) -> DQNTask:
    """The work, its weights in a file there."""
    import thew

    path = str(Path(folder) / "policy.onnx")
    thew.rl.DQN(DQNTask.env_id, seed=seed, buffer_size=64).export_onnx(path)
    return DQNTask(piece.threads, seed, folder, path, piece.work, piece.batch)


def write_dqn_report(paths: Sequence[Path], folder: Path, plots: bool = True) -> Path:
    """Writes the report, with plots, of the pieces that are measured and of runs whose logs (CSV) lie beside them."""
    reports = [json.loads(path.read_text()) for path in paths if path.exists()]
    columns = ("work", "threads", "batch", "contender", "median ms", "minimum ms", "times Thew's fp32")
    lines = ["# Study of DQN", "", *about_machine(reports, _METHOD), *head(columns)]
    for report in reports:
        about = report["piece"]
        for found in report["results"][0]["contenders"]:
            cells = (
                TITLES[report["results"][0]["task"]["work"]], about["threads"], about["batch"], found["name"],
                f"{found['median_seconds'] * 1e3:.3g}", f"{found['minimum_seconds'] * 1e3:.3g}",
                f"{found['ratio_to_first']:.2f}",
            )  # fmt: skip
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    if plots and reports:
        save(_ratios, reports, folder / "ratios.svg")
        lines += ["", "![Times of the peers over Thew's](ratios.svg)"]
    for log in sorted(folder.glob("*.csv")) if plots else ():
        with log.open(newline="") as file:
            rows = list(csv.DictReader(file))
        save(partial(_curve, title=log.stem), rows, log.with_suffix(".svg"))
        lines += ["", f"![Returns of a run: {log.stem}]({log.stem}.svg)"]
    lines += returns_lines(folder / RETURNS, plots)
    path = folder / "index.md"
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def _ratios(figure: Any, reports: Sequence[Any]) -> None:
    """Time of each contender over Thew's."""
    axes = figure.subplots()
    bars = [
        (f"{TITLES[r['results'][0]['task']['work']]}, {r['piece']['threads']}T, {c['name']}", c["ratio_to_first"])
        for r in reversed(reports)
        for c in reversed(r["results"][0]["contenders"])
    ]
    axes.barh([name for name, _ in bars], [ratio for _, ratio in bars])
    for place, (_, ratio) in enumerate(bars):
        axes.text(ratio, place, f" {ratio:.2f}", va="center", fontsize=7)
    axes.axvline(1.0, color="black", lw=1)
    axes.set_xlabel("time over that of Thew in fp32")


def _curve(figure: Any, rows: Sequence[Any], title: str) -> None:
    """Returns by environment steps: of the last 100 games of training, and of evaluations."""
    axes = figure.subplots()
    for name, style in (("charts/episodic_return", "-"), ("eval/episodic_return", "o")):
        points = [(float(row["global_step"]), float(row[name])) for row in rows if row.get(name)]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=name)
    axes.set(xlabel="environment steps", ylabel="return", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
