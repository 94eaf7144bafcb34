"""The study of returns: what DQN comes to on a game in each precision and in PyTorch's reference, over seeds.

A run is one training from a seed; each is a file, and one of Thew's that was cut short goes on from its checkpoint, to
the bit. The reference's starts again; until it has ended, its log shows how far it came. Against which spread a
precision is judged: that of the seeds in fp32.
"""

from __future__ import annotations

import csv
import itertools
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from thew.bench.study.plots import save
from thew.bench.study.tables import head
from thew.bench.study.trainings import Trainings

REFERENCE = "torch"
CONTENDERS = ("fp32", "mixed-bf16", "mixed-fp16", "mixed-fp64-fp16", REFERENCE)  # Thew's precisions, and PyTorch
LAST_GAMES = 100  # of the evaluation at the end
GAMES: Mapping[str, Mapping[str, Any]] = MappingProxyType(  # what a run of each changes
    {
        "MinAtar/Breakout-v1": {},
        "ALE/Breakout-v5": {
            "steps": 1_000_000, "every": 25_000, "games": 3,
            "hyperparameters": {
                "learning_starts": 5_000, "buffer_size": 150_000, "exploration_fraction": 0.05, "double": True,
                "n_step": 3,
            },
        },
    }
)  # fmt: skip
_NAMES = ("global_step", "eval/episodic_return")
_RECENT = 10  # evaluations at equal steps that are told of a run under way


@dataclass(frozen=True)
class AgentRun:
    """One training."""

    contender: str
    seed: int
    threads: int
    env_id: str = next(iter(GAMES))
    steps: int = 50_000
    every: int = 5_000  # steps between evaluations
    games: int = 20  # of an evaluation
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)  # changes to the preset

    @property
    def name(self) -> str:
        """Unique in the study."""
        return f"{_stem(self.env_id)}_{self.contender}_seed{self.seed}"


class ReturnsStudy(Trainings[AgentRun]):
    """Runs in a folder: a JSON file of each that has ended, a checkpoint and a log of each that has not."""

    unfinished = ("ckpt", "csv")

    def trained(self, run: AgentRun) -> Mapping[str, Any] | None:
        """Evaluations by step, and the returns of the last."""
        found = self._learnt_by_torch(run) if run.contender == REFERENCE else self._learnt(run)
        return None if found is None else {**_evaluations(self.beside(run, "csv")), "last": list(map(float, found))}

    def _learnt(self, run: AgentRun) -> Iterable[float] | None:
        """Returns of the last network; None where a signal came. Leaves the log."""
        from thew.rl import DQN
        from thew.rl.logs import CSVLog

        checkpoint, log = (self.beside(run, ending) for ending in self.unfinished)
        if checkpoint.exists():
            agent = DQN.load(checkpoint, threads=run.threads)
        else:
            given = {**run.hyperparameters, "eval_episodes": run.games}
            agent = DQN(run.env_id, run.contender, run.threads, run.seed, **given)
        agent.learn(
            run.steps, [CSVLog(log, agent.counters.steps)], log_every=run.every, eval_every=run.every,
            checkpoint=checkpoint, checkpoint_every=run.every, checkpoint_replay=True,
        )  # fmt: skip
        return None if agent.counters.stopped else agent.evaluate(LAST_GAMES)

    def _learnt_by_torch(self, run: AgentRun) -> Iterable[float]:
        from thew.bench.peers.dqn_torch_learning import Agent
        from thew.rl.logs import CSVLog

        agent = Agent(run.env_id, run.threads, run.seed, run.steps, run.hyperparameters)
        log = CSVLog(self.beside(run, "csv"), steps=0)
        for step in agent.learn():
            if step % run.every == 0:
                log.write(dict(zip(_NAMES, (step, float(agent.evaluate(run.games).mean())), strict=True)))
        return agent.evaluate(LAST_GAMES)


def _stem(env_id: str) -> str:
    return env_id.replace("/", "_").lower()


def _evaluations(log: Path) -> dict[str, Any]:
    """Steps of a log, and the return of the evaluation behind each."""
    with log.open(newline="") as file:
        rows = [[float(row[name]) for name in _NAMES] for row in csv.DictReader(file) if row[_NAMES[1]]]
    return {"steps": [int(step) for step, _ in rows], "returns": [value for _, value in rows]}


def agent_runs(contenders: Sequence[str], seeds: int, threads: int, env_id: str = next(iter(GAMES))) -> list[AgentRun]:
    """All runs of a game, one seed of everything before the next."""
    pairs = itertools.product(range(1, seeds + 1), contenders)
    return [AgentRun(name, seed, threads, env_id, **GAMES[env_id]) for seed, name in pairs]


def returns_lines(folder: Path, plots: bool) -> Iterator[str]:
    """The part of the report that is of runs, if there are any; draws their curves."""
    ended = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for env_id in dict.fromkeys([report["run"]["env_id"] for report in ended]):
        runs = [report for report in ended if report["run"]["env_id"] == env_id]
        yield from ("", f"## Returns of {env_id} after {runs[0]['run']['steps']:,} steps", "")
        yield f"Mean of {LAST_GAMES} games with the network of the last step; the spread of seeds is that of fp32."
        yield from ("", *head(("contender", "seeds", "return of each seed", "mean", "largest of a game")))
        for contender in CONTENDERS:
            yield from _line(contender, [run for run in runs if run["run"]["contender"] == contender])
        under_way = list(_under_way(folder, env_id))
        yield from _at_equal_steps(runs, under_way)
        plot = folder / f"{_stem(env_id)}.svg"
        if plots and save(_curves, [*runs, *under_way], plot):
            yield from ("", f"![Returns by step: {env_id}]({folder.name}/{plot.name})")


def _under_way(folder: Path, env_id: str) -> Iterator[dict[str, Any]]:
    """What logs tell of runs that have not ended."""
    for contender in CONTENDERS:
        for log in sorted(folder.glob(f"{_stem(env_id)}_{contender}_seed*.csv")):
            yield {"run": {"contender": contender, "seed": int(log.stem.rpartition("seed")[2])}, **_evaluations(log)}


def _line(contender: str, runs: Sequence[Any]) -> Iterator[str]:
    if runs:
        means = [statistics.fmean(run["last"]) for run in runs]
        largest = max(max(run["last"]) for run in runs)
        cells = (", ".join(f"{mean:.2f}" for mean in means), f"{statistics.fmean(means):.2f}", f"{largest:g}")
        yield f"| {contender} | {len(runs)} | {' | '.join(cells)} |"


def _at_equal_steps(runs: Sequence[Any], under_way: Sequence[Any]) -> Iterator[str]:
    """How those under way stand beside the others at the steps that they have come to."""
    for found in under_way:
        steps = found["steps"][-_RECENT:]
        span = f"{steps[0]:,} to {steps[-1]:,}"
        yield from ("", f"Mean of evaluations from {span} steps, which {_who(found)} came to:", "")
        for run in (found, *runs):
            pairs = zip(run["steps"], run["returns"], strict=True)
            values = [value for step, value in pairs if steps[0] <= step <= steps[-1]]
            yield f"- {_who(run)}: {statistics.fmean(values):.2f}"


def _who(run: Mapping[str, Any]) -> str:
    return f"{run['run']['contender']}, seed {run['run']['seed']}"


def _curves(figure: Any, runs: Sequence[Any]) -> None:
    """Evaluations by step: the mean of the seeds of each contender, and the range of fp32's."""
    axes = figure.subplots()
    for index, contender in enumerate(CONTENDERS):
        own = [run for run in runs if run["run"]["contender"] == contender]
        if not own:
            continue
        steps = min((run["steps"] for run in own), key=len)
        values = list(zip(*(run["returns"] for run in own), strict=False))  # as far as all came
        axes.plot(steps, [statistics.fmean(each) for each in values], color=f"C{index}", label=contender)
        if index == 0:
            axes.fill_between(steps, list(map(min, values)), list(map(max, values)), color="C0", alpha=0.2, lw=0)
    axes.set(xlabel="environment steps", ylabel="return of an evaluation")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
