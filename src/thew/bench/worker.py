"""A contender's process: told by lines of JSON on standard input, answers by lines of JSON on standard output.

    {"prepare": {"peer": "torch", "task": {…}}} → {"settings": {…}, "versions": {…}, "seconds": of the first calls}
    {"turn": 5}                                 → {"seconds": [five times, after one call that is not timed], "mhz": …}
    {"outputs": "path.npz"}                     → {"peak_rss_bytes": …}

Standard output belongs to the protocol: what a library prints there goes to standard error.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from thew.bench.frequency import clock_mhz
from thew.bench.peers import PEERS, Ready
from thew.bench.tasks import from_dict
from thew.errors import Error, UnsupportedError


def main() -> None:
    """Serves until standard input ends."""
    _end_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ready: Ready | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                ready, answer = _prepare(request["prepare"])
            else:
                assert ready is not None
                answer = _turn(ready, request["turn"]) if "turn" in request else _outputs(ready, request["outputs"])
        except Error as failure:
            answer = {"error": str(failure)}
        except Exception as failure:  # a peer's own: whatever it is, the parent reports it
            answer = {"error": f"{type(failure).__name__}: {failure}"}
        _answer(answers, answer)


def _end_with_parent() -> None:
    """Asks Linux to kill this process when its parent ends: a stopped one would otherwise stay for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _answer(answers: TextIO, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _prepare(request: Mapping[str, Any]) -> tuple[Ready, dict[str, Any]]:
    module = PEERS[request["peer"]].load()
    before = resident_bytes("VmRSS")
    ready: Ready | None = module.prepare(from_dict(request["task"]))
    if ready is None:
        raise UnsupportedError(f"peer {request['peer']!r}: cannot do {request['task']['kind']}")
    first = _turn(ready, 3)["seconds"]
    versions = {name: _version(name) for name in module.VERSION_OF}
    return ready, {"settings": dict(ready.settings), "versions": versions, "seconds": first, "rss_before_bytes": before}


def _version(name: str) -> str:
    """A module's own word for its version, else its package's."""
    return str(getattr(importlib.import_module(name), "__version__", None) or metadata.version(name))


def _turn(ready: Ready, calls: int) -> dict[str, Any]:
    call, clock = ready.call, time.perf_counter
    call()
    seconds = []
    for _ in range(calls):
        started = clock()
        call()
        seconds.append(clock() - started)
    return {"seconds": seconds, "mhz": clock_mhz()}


def _outputs(ready: Ready, path: str) -> dict[str, Any]:
    np.savez(path, *[np.asarray(output) for output in ready.call()])
    return {"peak_rss_bytes": resident_bytes("VmHWM")}


def resident_bytes(field: str) -> int:
    """A field of /proc/self/status in bytes; 0 where there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


if __name__ == "__main__":
    main()
