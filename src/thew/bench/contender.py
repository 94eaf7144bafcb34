"""The parent's end of a contender: a process of its own, stopped whenever it is not its turn."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thew.bench.peers import find, split
from thew.bench.tasks import ModelTask, Task
from thew.errors import InputError, UnsupportedError
from thew.ir.graph import Array

LIMIT_SECONDS = 600.0  # compilers of peers may take minutes; nothing may hang


@dataclass(frozen=True)
class Turn:
    """What one turn was like: seconds of each timed call, and the highest clock of the CPUs at its end in MHz (None
    where the system does not tell).
    """

    seconds: tuple[float, ...]
    mhz: float | None


class Contender:
    """One peer that does one task, told the options of its name (``peer:option=value``); ``model`` is a file of its
    own, by its path from the task's folder. Use as a context manager.
    """

    def __init__(self, name: str, task: Task) -> None:
        self.name = name
        self._peer, options = split(name)
        threads = options.pop("threads", "")
        if threads and not threads.isdigit():
            raise InputError(f"contender {name!r}: threads must be a number, got {threads!r}")
        model = options.pop("model", "")
        if model:
            if not isinstance(task, ModelTask):
                raise InputError(f"contender {name!r}: a model of its own must be for inference, got {task.kind}")
            task = replace(task, path=str(Path(task.folder) / model))
        self._task = replace(task, threads=int(threads or task.threads), options=options)
        peer = find(self._peer, task.kind)
        environment = {**os.environ, **peer.load_environment(self._task.threads)}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._log = Path(task.folder) / f"{_file_name(name)}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "thew.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        self.report: Mapping[str, Any] = {}

    def prepare(self) -> None:
        """Loads the model and warms up. Raises UnsupportedError where the peer cannot."""
        self.report = self._ask({"prepare": {"peer": self._peer, "task": self._task.to_dict()}})
        self._stop()

    def turn(self, calls: int) -> Turn:
        """Does the work calls + 1 times; the first is not timed."""
        os.kill(self._process.pid, signal.SIGCONT)
        answer = self._ask({"turn": calls})
        self._stop()
        return Turn(tuple(answer["seconds"]), answer["mhz"])

    def outputs(self) -> tuple[list[Array], int]:
        """What it computes, and the most memory its process has had, in bytes."""
        path = Path(self._task.folder) / f"{_file_name(self.name)}.npz"
        os.kill(self._process.pid, signal.SIGCONT)
        peak = self._ask({"outputs": str(path)})["peak_rss_bytes"]
        self._stop()
        with np.load(path) as arrays:
            return [arrays[name] for name in arrays], int(peak)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(LIMIT_SECONDS):
                raise UnsupportedError(
                    f"peer {self.name!r}: must answer within {LIMIT_SECONDS:.0f} s, got silence; leave it out"
                )
        line = self._process.stdout.readline()
        if not line:
            raise self._failed()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UnsupportedError(f"peer {self.name!r}: {answer['error']}; leave it out")
        return answer

    def _failed(self) -> UnsupportedError:
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        return UnsupportedError(f"peer {self.name!r}: its process ended, its last word was: {last[0]}; leave it out")

    def _stop(self) -> None:
        time.sleep(0.001)  # lets the answer's flush return
        os.kill(self._process.pid, signal.SIGSTOP)

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


def _file_name(name: str) -> str:
    return name.replace(":", "_").replace("/", "_")
