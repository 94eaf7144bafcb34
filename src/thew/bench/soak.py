"""A long training, watched: whether memory stays where it was once the replay memory is full, and whether anything
works when it is over.

One sample a period: resident memory, processor time and steps. Learning and two environments on actor threads go on
side by side, with evaluations in between.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from thew.bench.machine import describe
from thew.bench.worker import resident_bytes
from thew.rl import DQN
from thew.rl.logs import Log, Row

_IDLE_SECONDS = 10.0
_SLOTS = 10_000  # of the replay memory
_ROW = 2000  # steps of a row
_LAST = 10**9  # step that no soak reaches


class _Watch(Log):
    """Takes a sample a period, and ends the run when it is over."""

    def __init__(self, agent: DQN, seconds: float, period: float) -> None:
        self._agent, self._period = agent, period
        self._started = time.monotonic()
        self._end, self._due = self._started + seconds, self._started
        self.samples: list[dict[str, float]] = []

    def write(self, row: Row) -> None:
        """One row of the run."""
        now = time.monotonic()
        is_full = self._agent.replay.written >= self._agent.replay.capacity
        if is_full and now >= self._due:
            self._due = now + self._period
            self.samples.append(self._sample(now - self._started))
        if now >= self._end and len(self.samples) > 1:
            self._agent.stop("soaked")

    def _sample(self, seconds: float) -> dict[str, float]:
        gc.collect()
        counters = self._agent.counters
        return {
            "seconds": seconds, "resident_bytes": resident_bytes("VmRSS"), "cpu_seconds": time.process_time(),
            "steps": counters.steps, "updates": counters.updates,
        }  # fmt: skip


def soak(
    env_id: str, seconds: float, period: float = 60.0, precision: str = "fp32", threads: int = 1
) -> dict[str, Any]:
    """Trains an agent for so long.

    Args:
        env_id: Gymnasium's name.
        seconds: how long; samples, two at least, begin when the replay memory is in use throughout.
        period: seconds between samples.
        precision: of gradient steps.
        threads: of native code.

    Returns:
        Machine and versions, the samples, the growth of resident memory from the first to the last of them, and the
        share of one core that the process takes once training is over.
    """
    agent = DQN(
        env_id, precision, threads, seed=1, actors=2, num_envs=2, buffer_size=_SLOTS, learning_starts=_SLOTS // 10
    )
    watch = _Watch(agent, seconds, period)
    agent.learn(_LAST, [watch], log_every=_ROW, eval_every=50_000)
    before, started = time.process_time(), time.monotonic()
    time.sleep(_IDLE_SECONDS)
    idle = (time.process_time() - before) / (time.monotonic() - started)
    agent.environments.close()
    memory = [sample["resident_bytes"] for sample in watch.samples]
    growth = memory[-1] - memory[0] if memory else 0
    run = {"env_id": env_id, "precision": precision, "threads": threads, "seconds": seconds}
    return {**describe(), "run": run, "growth_bytes": growth, "idle_share": idle, "samples": watch.samples}
