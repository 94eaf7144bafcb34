"""The study of returns: what DQN comes to on a small game in each precision and in PyTorch's reference, over seeds.

A run is one training from a seed with the preset of the game; each is a file, and one of Thew's that was cut short goes
on from its checkpoint, to the bit. Against which spread a precision is judged: that of the seeds in fp32.
"""

from __future__ import annotations

import csv
import itertools
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thew.bench.study.plots import save
from thew.bench.study.tables import head
from thew.bench.study.trainings import Trainings

REFERENCE = "torch"
CONTENDERS = ("fp32", "mixed-bf16", "mixed-fp16", "mixed-fp64-fp16", REFERENCE)  # Thew's precisions, and PyTorch
GAME = "MinAtar/Breakout-v1"
STEPS, EVERY, GAMES, LAST_GAMES = 50_000, 5_000, 20, 100  # games of an evaluation, and of that at the end
_NAMES = ("global_step", "eval/episodic_return")


@dataclass(frozen=True)
class AgentRun:
    """One training."""

    contender: str
    seed: int
    threads: int
    env_id: str = GAME
    steps: int = STEPS
    every: int = EVERY  # steps between evaluations

    @property
    def name(self) -> str:
        """Unique in the study."""
        return f"{self.env_id.replace('/', '_').lower()}_{self.contender}_seed{self.seed}"


class ReturnsStudy(Trainings[AgentRun]):
    """Runs in a folder: a JSON file of each that has ended, a checkpoint and a log of each that has not."""

    unfinished = ("ckpt", "csv")

    def trained(self, run: AgentRun) -> Mapping[str, Any] | None:
        """Evaluations by step, and the returns of the last."""
        found = _learnt_by_torch(run) if run.contender == REFERENCE else self._learnt(run)
        if found is None:
            return None
        rows, returns = found
        curve = {"steps": [int(step) for step, _ in rows], "returns": [value for _, value in rows]}
        return {**curve, "last": list(map(float, returns))}

    def _learnt(self, run: AgentRun) -> tuple[list[tuple[float, float]], Iterable[float]] | None:
        """Evaluations by step and returns of the last; None where a signal came."""
        from thew.rl import DQN
        from thew.rl.logs import CSVLog

        checkpoint, log = (self.beside(run, ending) for ending in self.unfinished)
        if checkpoint.exists():
            agent = DQN.load(checkpoint, threads=run.threads)
        else:
            agent = DQN(run.env_id, run.contender, run.threads, run.seed, eval_episodes=GAMES)
        agent.learn(
            run.steps, [CSVLog(log, agent.counters.steps)], log_every=run.every, eval_every=run.every,
            checkpoint=checkpoint, checkpoint_every=run.every, checkpoint_replay=True,
        )  # fmt: skip
        if agent.counters.stopped:
            return None
        with log.open(newline="") as file:
            rows = [[float(row[name]) for name in _NAMES] for row in csv.DictReader(file) if row[_NAMES[1]]]
        return [(step, value) for step, value in rows], agent.evaluate(LAST_GAMES)


def _learnt_by_torch(run: AgentRun) -> tuple[list[tuple[float, float]], Iterable[float]]:
    from thew.bench.peers.dqn_torch_learning import Agent

    agent = Agent(run.env_id, run.threads, run.seed, run.steps)
    due = (step for step in agent.learn() if step % run.every == 0)
    rows = [(float(step), float(agent.evaluate(GAMES).mean())) for step in due]
    return rows, agent.evaluate(LAST_GAMES)


def agent_runs(contenders: Sequence[str], seeds: int, threads: int) -> list[AgentRun]:
    """All runs, one seed of everything before the next."""
    return [AgentRun(name, seed, threads) for seed, name in itertools.product(range(1, seeds + 1), contenders)]


def returns_lines(folder: Path, plots: bool) -> Iterator[str]:
    """The part of the report that is of runs which have ended, if there are any; draws their curves."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for game in dict.fromkeys(report["run"]["env_id"] for report in reports):
        runs = [report for report in reports if report["run"]["env_id"] == game]
        yield from ("", f"## Returns of {game} after {runs[0]['run']['steps']:,} steps", "")
        yield f"Mean of {LAST_GAMES} games with the network of the last step; the spread of seeds is that of fp32."
        yield from ("", *head(("contender", "seeds", "return of each seed", "mean", "largest of a game")))
        for contender in CONTENDERS:
            yield from _line(contender, [run for run in runs if run["run"]["contender"] == contender])
        plot = folder / f"{game.replace('/', '_').lower()}.svg"
        if plots and save(_curves, runs, plot):
            yield from ("", f"![Returns by step: {game}]({folder.name}/{plot.name})")


def _line(contender: str, runs: Sequence[Any]) -> Iterator[str]:
    if runs:
        means = [statistics.fmean(run["last"]) for run in runs]
        largest = max(max(run["last"]) for run in runs)
        cells = (", ".join(f"{mean:.2f}" for mean in means), f"{statistics.fmean(means):.2f}", f"{largest:g}")
        yield f"| {contender} | {len(runs)} | {' | '.join(cells)} |"


def _curves(figure: Any, runs: Sequence[Any]) -> None:
    """Evaluations by step: the mean of the seeds of each contender, and the range of fp32's."""
    axes = figure.subplots()
    for index, contender in enumerate(CONTENDERS):
        own = [run for run in runs if run["run"]["contender"] == contender]
        if not own:
            continue
        steps, values = own[0]["steps"], list(zip(*(run["returns"] for run in own), strict=True))
        axes.plot(steps, [statistics.fmean(each) for each in values], color=f"C{index}", label=contender)
        if index == 0:
            axes.fill_between(steps, list(map(min, values)), list(map(max, values)), color="C0", alpha=0.2, lw=0)
    axes.set(xlabel="environment steps", ylabel="return of an evaluation")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
