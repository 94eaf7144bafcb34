"""Deep Q-learning (Mnih et al. 2015): the agent, in one sitting.

    repeat:  act ε-greedily in every environment
             step the environments  |  meanwhile, where it is due, a gradient step on transitions drawn from the replay
             store what came of it; now and then move the target network, evaluate, log, save

The gradient step is one native call (`thew.rl.graph`). Steps of environments and gradient steps that go on side by side
touch nothing in common, so that a run is a function of its seed, whatever the number of threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thew.errors import InputError
from thew.ir.graph import Array
from thew.nn import init
from thew.rl.environments import Environments, Episode, Step, make
from thew.rl.graph import Networks
from thew.rl.hyperparameters import Hyperparameters, preset
from thew.rl.learner import Learner, Result
from thew.rl.logs import Log, Meter, closing_all
from thew.rl.network import QNetwork
from thew.rl.observation import observation_of
from thew.rl.play import play
from thew.rl.ranks import RankEnvironments
from thew.rl.replay import Replay, capacity_of
from thew.runtime.device import parse_cores, target
from thew.runtime.executable import Settings
from thew.train.parallel import Group
from thew.train.precision import precision_of
from thew.train.signals import stopping_on_signals

_JUDGED = 20  # times in a run, where the best network is kept


@dataclass
class Counters:
    """How far training has come: environment steps, gradient steps, games; the steps asked for; the best evaluation,
    where its network is kept; why it stopped.
    """

    steps: int = 0
    updates: int = 0
    episodes: int = 0
    total: int = 0
    best: float | None = None
    stopped: str = field(default="", compare=False)


class DQN:
    """A deep Q-learning agent of an environment.

    Args:
        env_id: Gymnasium's name, as "ALE/Breakout-v5", "CartPole-v1" or "MinAtar/Breakout-v1".
        precision: of gradient steps: "fp32", "fp64", "mixed-fp16", "mixed-bf16" or "mixed-fp64-fp16".
        threads: of native code.
        seed: of all that is drawn.
        actors: threads that step the environments while the learner learns; 0 steps them in between.
        cores: "all", "big", "little" or a list such as "0-3": the CPUs that native threads are kept on.
        isa: use nothing better than this instruction set.
        replay_memory: bytes of the replay memory, in place of `buffer_size`.
        replay_file: a file that frames are kept in, mapped into memory.
        replay_compression: frames are compressed without loss; what they take is then known when they are there.
        env_options: for `gymnasium.make`.
        group: the processes of an MPI job, of which this is the first and the others step the environments
            (`thew.rl.ranks`).
        hyperparameters: those of `Hyperparameters`, where they differ from the preset.

    Raises:
        UnsupportedError: a package is absent (extra ``rl``), or the environment is none for DQN.
        InputError: an argument is none of the above.

    Example:
        >>> agent = thew.rl.DQN("CartPole-v1", seed=1, learning_rate=1e-3)
        >>> agent.learn(total_timesteps=50_000)
        >>> agent.export_onnx("policy.onnx")
    """

    def __init__(
        self,
        env_id: str,
        precision: str = "fp32",
        threads: int = 1,
        seed: int = 0,
        *,
        actors: int = 0,
        cores: str | None = None,
        isa: str | None = None,
        replay_memory: int | None = None,
        replay_file: str | os.PathLike[str] | None = None,
        replay_compression: bool = False,
        env_options: dict[str, Any] | None = None,
        group: Group | None = None,
        **hyperparameters: Any,
    ) -> None:
        if not isinstance(threads, int) or not 1 <= threads <= 1024:
            raise InputError(f"threads: must be between 1 and 1024, got {threads!r}")
        if not isinstance(env_id, str) or not isinstance(seed, int) or seed < 0:
            raise InputError(f"DQN: env_id must be a name and seed a number of at least 0, got {env_id!r} and {seed!r}")
        if not isinstance(replay_memory, int | None):
            raise InputError(f"DQN: replay_memory must be a whole number of bytes, or None, got {replay_memory!r}")
        self.env_id, self.threads, self.seed, self.env_options = env_id, threads, seed, dict(env_options or {})
        first = make(env_id, **self.env_options)
        self.observation = observation_of(first.observation_space, hyperparameters.get("frame_stack", 4))
        if replay_memory is not None:
            if replay_compression:
                raise InputError("replay: compressed frames differ in size; give buffer_size in place of replay_memory")
            hyperparameters["buffer_size"] = capacity_of(replay_memory, self.observation)
        self.hyperparameters: Hyperparameters = preset(self.observation).with_changes(hyperparameters)
        given = self.hyperparameters
        self.actions = int(first.action_space.n)
        self.precision = precision_of(precision)
        with init.seeded(seed):
            networks = [QNetwork(self.observation, self.actions, given.dueling) for _ in range(2)]
        self.replay = Replay(self.observation, given, replay_file, replay_compression)
        settings = Settings(target(threads, isa), parse_cores(cores))
        self.learner = Learner(Networks(*networks), self.replay, given, self.precision, settings)
        self.environments: Environments | RankEnvironments
        if group is not None and group.size > 1:
            self.environments = RankEnvironments(group, env_id, self.env_options, given.num_envs, seed)
        else:
            others = [make(env_id, **self.env_options) for _ in range(given.num_envs - 1)]
            self.environments = Environments([first, *others], seed, actors)
        self.counters = Counters()
        self.best: dict[str, Array] = {}  # parameters of the best evaluation, where they are kept
        self.games: deque[Episode] = deque(maxlen=100)  # the last ones
        self.random = np.random.default_rng(seed)
        self.stacks: Array | None = None  # what each environment shows, None before the first reset

    @property
    def network(self) -> QNetwork:
        """The network that is trained."""
        return self.learner.networks.online

    def learn(
        self,
        total_timesteps: int,
        logs: Sequence[Log] = (),
        *,
        log_every: int = 1000,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 50_000,
        checkpoint_replay: bool = False,
        eval_every: int = 0,
    ) -> list[dict[str, float]]:
        """Trains until so many environment steps have been taken, those before a resumption among them.

        SIGINT and SIGTERM end it at a step's end, with a checkpoint where one is asked for.

        Args:
            total_timesteps: steps of all environments together; ε's schedule follows it.
            logs: told of every row of scalars (`thew.rl.logs`).
            log_every: steps a row.
            checkpoint: a file to save to, at the end too.
            checkpoint_every: steps between checkpoints.
            checkpoint_replay: checkpoints have the replay memory, and whoever resumes goes on as if there had been no
                stop.
            eval_every: steps between evaluations, on seeds of their own; 0 for none.

        Returns:
            The rows, under CleanRL's names.
        """
        counters, meter = self.counters, Meter(self.games)
        counters.total, counters.stopped = total_timesteps, ""
        judge_every = -(-total_timesteps // _JUDGED) if self.hyperparameters.keep_best else 0
        rows: list[dict[str, float]] = []
        with closing_all(logs), stopping_on_signals(self.stop):
            while counters.steps < total_timesteps and not counters.stopped:
                before = counters.steps
                self._advance(meter)

                def is_due(every: int, before: int = before) -> bool:
                    return every > 0 and counters.steps // every > before // every

                if is_due(self.hyperparameters.target_network_frequency):
                    self.learner.update_target(self.hyperparameters.tau)
                found = {"eval/episodic_return": self._judge()} if is_due(eval_every) else {}
                if not found and is_due(judge_every):
                    self._judge()
                if is_due(log_every) or found:
                    rows.append({**self._row(meter), **found})
                    for log in logs:
                        log.write(rows[-1])
                if checkpoint is not None and is_due(checkpoint_every):
                    self.save(checkpoint, replay=checkpoint_replay)
        for name, array in self.network.named_parameters() if counters.steps >= total_timesteps else ():
            np.copyto(array, self.best.get(name, array))
        if checkpoint is not None:
            self.save(checkpoint, replay=checkpoint_replay)
        return rows

    def stop(self, why: str) -> None:
        """Ends `learn` after the step under way."""
        self.counters.stopped = why

    def act(self, observations: Array) -> Array:
        """The best actions (n,) for observations (n, …) as they are stored: stacks of frames."""
        return self.learner.act(observations)

    def evaluate(self, episodes: int | None = None, epsilon: float | None = None, seed: int = 1_000_000) -> Array:
        """Returns of whole games, played with the network as it stands, in an environment of their own.

        Args:
            episodes: how many, by default `eval_episodes`.
            epsilon: probability of a random action, by default `eval_epsilon`.
            seed: of the first game, beyond the agent's.
        """
        given = self.hyperparameters
        chance = given.eval_epsilon if epsilon is None else epsilon
        return play(self, episodes or given.eval_episodes, chance, self.seed + seed)

    def save(self, path: str | os.PathLike[str], *, replay: bool = False) -> None:
        """Writes a checkpoint of all that training goes on from. The file appears whole or not at all.

        Args:
            path: the file.
            replay: with the replay memory and the games under way: a resumed run is then the same as one without a
                stop, where environments repeat themselves. Without, it begins new games, and fills the memory anew
                before it learns.
        """
        from thew.rl import checkpoint

        checkpoint.save(self, path, replay)

    @staticmethod
    def load(path: str | os.PathLike[str], **options: Any) -> DQN:
        """The agent of a checkpoint, to play or to go on learning; `options` are arguments of `DQN` that may differ.

        Raises:
            CheckpointError: the file is not there, truncated or edited.
        """
        from thew.rl import checkpoint

        return checkpoint.load(path, options)

    def export_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes the policy as ONNX: from observations (n, …) as they are stored to action values (n, actions)."""
        from thew.onnx import export_onnx

        seen = self.observation
        graph = self.network.graph(("n", *seen.shape), input_dtype=seen.dtype, name="policy")
        export_onnx(graph, path)

    def _judge(self) -> float:
        """The mean return of an evaluation; the network is kept where none was better."""
        found, counters = float(self.evaluate().mean()), self.counters
        is_best = counters.best is None or found >= counters.best
        if self.hyperparameters.keep_best and counters.updates and is_best:
            counters.best = found
            self.best = {name: array.copy() for name, array in self.network.named_parameters()}
        return found

    # One round of the loop

    def _advance(self, meter: Meter) -> None:
        counters = self.counters
        if self.stacks is None:
            self.stacks = self._first_stacks()
        with meter.time("act"):
            actions = self._choose(self.stacks)
        self.environments.send(actions)
        for _ in range(self._updates_due()):
            with meter.time("learn"):
                meter.learnt(self._update())
        with meter.time("wait" if self.environments.has_workers else "env"):
            steps = self.environments.receive()
        with meter.time("store"):
            for index, step in enumerate(steps):
                self._store(index, int(actions[index]), step)
        counters.steps += len(steps)
        counters.episodes += meter.seen(step.episode for step in steps)

    def _choose(self, stacks: Array) -> Array:
        """ε-greedy actions."""
        epsilon = self.hyperparameters.epsilon(self.counters.steps, self.counters.total)
        is_random = self.random.random(len(stacks)) < epsilon
        actions = self.random.integers(self.actions, size=len(stacks))
        return actions if is_random.all() else np.where(is_random, actions, self.learner.act(stacks))

    def _updates_due(self) -> int:
        """Gradient steps that keep pace with the environment steps to come."""
        given, steps = self.hyperparameters, self.counters.steps
        if self.replay.written < given.learning_starts or self.replay.total == 0:  # a resumed run fills it anew
            return 0
        return (steps + given.num_envs) // given.train_frequency - steps // given.train_frequency

    def _update(self) -> Result:
        given, counters = self.hyperparameters, self.counters
        share = counters.steps / max(counters.total, 1)
        if given.anneal_lr:
            self.learner.set_rate(1 - share)
        result = self.learner.step(self.random.random(given.batch_size), given.beta + share * (1 - given.beta))
        if given.prioritized:
            self.replay.priority = max(self.replay.priority, float(result.errors.max()) ** given.alpha)
        counters.updates += 1
        return result

    def _first_stacks(self) -> Array:
        """New episodes in all environments."""
        frames = self.environments.reset()
        for index, frame in enumerate(frames):
            self.replay.begin(index, frame)
        return np.stack([self.observation.begin(frame) for frame in frames])

    def resume_games(self, stacks: Array, states: Sequence[dict[str, Any]]) -> None:
        """Brings the environments back to where they showed these observations (`Environments.state`)."""
        self.stacks = stacks.copy()
        found = self.environments.restore(states, [self.observation.newest(stack) for stack in stacks])
        for index, first in enumerate(found):
            if first is not None:
                self.replay.abandon(index)
                self.replay.begin(index, first)
                self.stacks[index] = self.observation.begin(first)

    def _store(self, index: int, action: int, step: Step) -> None:
        reward = float(np.sign(step.reward)) if self.hyperparameters.clip_reward else step.reward
        self.replay.add(index, action, reward, step.frame, step.terminated, step.truncated)
        assert self.stacks is not None
        if step.first is None:
            self.stacks[index] = self.observation.push(self.stacks[index], step.frame)
        else:
            self.replay.begin(index, step.first)
            self.stacks[index] = self.observation.begin(step.first)

    def _row(self, meter: Meter) -> dict[str, float]:
        counters = self.counters
        scaling = self.learner.scaling or {}
        return {
            "global_step": float(counters.steps),
            "charts/epsilon": self.hyperparameters.epsilon(counters.steps, counters.total),
            **meter.row(),
            **{f"loss_scale/{name}": value for name, value in scaling.items()},
        }
