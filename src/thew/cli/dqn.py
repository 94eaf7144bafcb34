"""``thew dqn train``, ``play`` and ``export``: deep Q-learning from pixels to a policy file."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from thew.cli import show
from thew.cli.options import Common, command
from thew.errors import InputError
from thew.rl.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from thew.ir.graph import Array
    from thew.rl.logs import Log

app = typer.Typer(name="dqn", help="Deep Q-learning on Gymnasium's environments.", no_args_is_help=True)

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _hyperparameters() -> dict[str, Any]:
    """An option for each hyperparameter, with what its class says of it as help."""
    told = dict(re.findall(r"^ {8}(\w+): (.+)$", Hyperparameters.__doc__ or "", re.MULTILINE))
    kinds = get_type_hints(Hyperparameters)
    panel = "Hyperparameters (by default those that suit the environment)"
    return {
        field.name: Annotated[kinds[field.name] | None, typer.Option(help=told[field.name], rich_help_panel=panel)]
        for field in fields(Hyperparameters)
    }


def bytes_of(text: str) -> int:
    """A size such as 7.1GB or 512MiB, in bytes. Raises InputError for what is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B)?", text.strip().upper())
    if found is None:
        raise InputError(f"size: must be a number of bytes, KB, MB or GB, got {text!r}")
    return int(float(found[1]) * _UNITS[found[2] or ""])


def train(
    common: Common,
    env_id: Annotated[
        str, typer.Argument(help="Gymnasium's name, as ALE/Breakout-v5, CartPole-v1, MinAtar/Breakout-v1.")
    ],
    total_timesteps: Annotated[int, typer.Option(min=1, help="Steps of all environments together.")] = 100_000,
    checkpoint: Annotated[Path | None, typer.Option(help="Save to this file now and then, and at the end.")] = None,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50_000,
    checkpoint_replay: Annotated[
        bool, typer.Option("--checkpoint-replay", help="Checkpoints have the replay memory and the games under way.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint where there is one.")] = False,
    replay_memory: Annotated[
        str, typer.Option(help="Size of the replay memory, as 1GB, in place of buffer-size.")
    ] = "",
    replay_file: Annotated[Path | None, typer.Option(help="Keep frames in this file, mapped into memory.")] = None,
    replay_compression: Annotated[
        bool, typer.Option("--replay-compression", help="Compress frames: a tenth of the memory, a tenth more time.")
    ] = False,
    actors: Annotated[int, typer.Option(min=0, help="Threads that step environments while the learner learns.")] = 0,
    eval_every: Annotated[int, typer.Option(min=0, help="Steps between evaluations; 0 for none.")] = 0,
    log_every: Annotated[int, typer.Option(min=1, help="Steps of a row of the logs.")] = 1000,
    csv: Annotated[Path | None, typer.Option(help="Append rows to this file.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Write rows for TensorBoard to this folder.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the policy to this ONNX file.")] = None,
    **changes: Any,
) -> None:
    """Learns to play an environment; SIGINT ends it at a step's end, with a checkpoint.

    Under mpirun the first process learns, and the others step the environments.
    """
    from thew.rl import DQN
    from thew.rl.logs import CSVLog, ProgressLog, TensorBoardLog
    from thew.rl.ranks import serve
    from thew.train.parallel import group_of, launched_size

    group = group_of(launched_size() > 1)
    if group.rank > 0:
        serve(group)
        return
    if group.size > 1:
        changes.setdefault("num_envs", group.size - 1)
    memory = bytes_of(replay_memory) if replay_memory else None
    where: dict[str, Any] = {"actors": actors, "group": group, "replay_memory": memory, "replay_file": replay_file}
    if replay_compression:
        where["replay_compression"] = True
    if resume and checkpoint is not None and checkpoint.exists():
        agent = DQN.load(checkpoint, threads=common.threads, **where, **changes)
    else:
        agent = DQN(env_id, common.precision, common.threads, common.seed, **where, **changes)
    show.note(f"{env_id}: replay of {agent.replay.capacity} frames, {show.size(agent.replay.memory_bytes)}")
    steps = agent.counters.steps or None  # where it goes on
    logs: list[Log] = [*([CSVLog(csv, steps)] if csv else []), *([TensorBoardLog(tensorboard)] if tensorboard else [])]
    if sys.stderr.isatty():
        logs.append(ProgressLog(total_timesteps))
    try:
        rows = agent.learn(
            total_timesteps, logs, log_every=log_every, checkpoint=checkpoint, checkpoint_every=checkpoint_every,
            checkpoint_replay=checkpoint_replay, eval_every=eval_every,
        )  # fmt: skip
    finally:
        agent.environments.close()
    if export is not None:
        agent.export_onnx(export)
    if common.json:
        show.as_json({"rows": rows, "stopped": agent.counters.stopped})
    else:
        names = ("global_step", "charts/episodic_return", "losses/td_loss", "charts/SPS")
        cells = [[f"{row.get(name, float('nan')):.5g}" for name in names] for row in rows[-1:]]
        show.table(env_id, names, cells)
    if agent.counters.stopped:
        raise typer.Exit(1)


def play(
    common: Common,
    checkpoint: Annotated[Path, typer.Argument(help="An agent's checkpoint.")],
    episodes: Annotated[int, typer.Option(min=1, help="Games.")] = 10,
    epsilon: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Probability of a random action; by default eval-epsilon.")
    ] = None,
    video: Annotated[Path | None, typer.Option(help="Write a film, .gif or .mp4.")] = None,
    terminal: Annotated[bool, typer.Option(help="Show the game in the terminal.")] = False,
) -> None:
    """Plays whole games with what was learnt, and shows their returns."""
    from thew.rl import DQN
    from thew.rl.play import play as play_games
    from thew.rl.watch import Film

    agent = DQN.load(checkpoint, threads=common.threads, buffer_size=64, num_envs=1)
    chance = agent.hyperparameters.eval_epsilon if epsilon is None else epsilon
    seed = common.seed + 2_000_000  # apart from those of training and evaluation
    if video is not None:
        with Film(video) as film:
            returns = play_games(agent, episodes, chance, seed, film)
    else:
        returns = play_games(agent, episodes, chance, seed, _draw if terminal else None)
    if common.json:
        show.as_json({"returns": returns.tolist(), "mean": float(returns.mean())})
    else:
        show.line(
            f"mean return {returns.mean():.4g} over {episodes} games, from {returns.min():.4g} to {returns.max():.4g}"
        )


def _draw(env: object, observation: Array) -> None:
    from thew.rl.watch import as_text

    typer.echo("\x1b[H\x1b[2J" + as_text(observation))
    time.sleep(1 / 30)


def export(
    common: Common,
    checkpoint: Annotated[Path, typer.Argument(help="An agent's checkpoint.")],
    policy: Annotated[Path, typer.Argument(help="The ONNX file to write.")] = Path("policy.onnx"),
) -> None:
    """Writes the policy as ONNX: from observations as they are stored to values of all actions."""
    from thew.rl import DQN

    agent = DQN.load(checkpoint, threads=common.threads, buffer_size=64, num_envs=1)
    agent.export_onnx(policy)
    show.note(f"{policy}: {agent.env_id}, {agent.actions} actions")


app.command("train")(command(train, _hyperparameters()))
app.command("play")(command(play))
app.command("export")(command(export))
