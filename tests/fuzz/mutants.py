"""Runs seeded mutants of models through `thew.InferenceSession`: read, plan, run on a random input.

    python tests/fuzz/mutants.py --count 100000 --seed 1
    python tests/fuzz/mutants.py --seed 1 --only 4711 --save mutant.onnx

A mutant must run or end in a `thew.Error`. A crash, a hang or any other exception is a failure, printed with the
command that repeats it. Mutants run in a child process that has limits of time and memory; after a crash the next child
goes on behind it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import resource
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import mutations
import numpy as np

MEMORY_LIMIT_BYTES = 512 * 2**20  # what a mutant's constants and plan may take
ADDRESS_SPACE_BYTES = 6 * 2**30  # of the child: libraries, the corpus, and what one mutant takes
MAX_INPUT_ELEMENTS = 2**22
CHILD_MUTANTS = 500  # after which a child makes way for a fresh one


def make(models: dict[str, bytes], seed: int, index: int) -> tuple[str, str, bytes]:
    """Mutant number `index` of a seed."""
    return mutations.mutate(models, random.Random(f"{seed}/{index}"))


def run_one(data: bytes) -> str:
    """ "ran" or "refused"; every other exception passes."""
    import thew

    try:
        session = thew.InferenceSession(data, memory_limit_bytes=MEMORY_LIMIT_BYTES)
        feeds = {value.name: _random_input(value) for value in session.get_inputs()}
        session.run(None, feeds)
    except thew.Error:
        return "refused"
    return "ran"


_DTYPES = {"float": np.float32, "double": np.float64, "float16": np.float16, "bool": np.bool_}


def _random_input(value: Any) -> Any:
    rng = np.random.default_rng(0)
    name = value.type.removeprefix("tensor(").removesuffix(")")
    shape = [extent if isinstance(extent, int) else 2 for extent in value.shape or [2, 3]]
    if np.prod([float(extent) for extent in shape]) > MAX_INPUT_ELEMENTS or name in ("unknown", "opaque"):
        return []
    if name == "string":
        return np.full(shape, "text", np.object_)
    from thew.dtypes import to_numpy

    dtype = _DTYPES.get(name) or to_numpy("bf16" if name == "bfloat16" else name)
    return np.asarray(rng.standard_normal(shape) * 3).astype(dtype)


# The child: runs a range of mutants, and says on standard output which it begins and how it ended


def child(arguments: argparse.Namespace) -> None:
    """Runs mutants first to last; dies with the one that kills it."""
    warnings.simplefilter("ignore")
    models = corpus.load(arguments.models)
    import thew
    from thew.ops import control

    control.MAX_ITERATIONS = 2000  # that endless loops end is what is tested, not how patient Thew is
    thew.InferenceSession(models["conv_net"])  # imports all that is needed before the limit

    def mutant(index: int) -> tuple[str, str, Callable[[], str]]:
        name, kind, data = make(models, arguments.seed, index)
        return name, kind, lambda: run_one(data)

    attempt(arguments, mutant)


def attempt(arguments: argparse.Namespace, mutant: Callable[[int], tuple[str, str, Callable[[], str]]]) -> None:
    """Runs a range of mutants, each given as its names and what tries it, within limits."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for index in range(arguments.first, arguments.last):
        name, kind, run = mutant(index)
        _say({"begin": index, "model": name, "kind": kind})
        started = time.monotonic()
        try:
            outcome = run()
        except BaseException as error:
            trace = traceback.format_exc().splitlines()
            outcome = "failed"
            _say({"failed": index, "error": f"{type(error).__name__}: {str(error)[:200]}", "trace": trace[-9:]})
        _say({"end": index, "outcome": outcome, "seconds": time.monotonic() - started})


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


# The parent


class Run:
    """One run over many mutants."""

    def __init__(self, arguments: argparse.Namespace, script: str = __file__) -> None:
        self.arguments, self.script = arguments, script
        self.counts: Counter[str] = Counter()
        self.failures: list[dict[str, Any]] = []
        self.slowest: tuple[float, int] = (0.0, -1)

    def all(self) -> None:
        """Runs all mutants, a child after the other."""
        index, end = self.arguments.start, self.arguments.start + self.arguments.count
        while index < end:
            index = self._child(index, min(index + CHILD_MUTANTS, end))
            self._progress(index, end)

    def _child(self, first: int, last: int) -> int:
        """Runs one child, and returns the mutant after the last that it got to."""
        command = [sys.executable, self.script, "--child", "--seed", str(self.arguments.seed)]
        command += ["--first", str(first), "--last", str(last)]
        command += ["--models", str(self.arguments.models)] if self.arguments.models else []
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True)
        errors: list[str] = []
        error_reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
        reader.start(), error_reader.start()
        current: dict[str, Any] | None = None
        following = first
        while True:
            try:
                line = lines.get(timeout=self.arguments.timeout)
            except queue.Empty:
                process.kill()
                self._fail(current, f"hang: no end within {self.arguments.timeout} s", errors)
                break
            if line is None:
                process.wait()
                error_reader.join()
                if current is not None or process.returncode:
                    self._fail(current, f"crash: the child ended with status {process.returncode}", errors)
                break
            message = json.loads(line)
            if "begin" in message:
                current, following = message, message["begin"] + 1
            elif "failed" in message:
                self._fail(current, message["error"], message["trace"])
            else:
                self.counts[message["outcome"]] += 1
                self.slowest = max(self.slowest, (message["seconds"], message["end"]))
                current = None
        process.wait()
        if current is None and following == first:
            raise SystemExit(f"mutants: the child cannot start:\n{''.join(errors)}")
        return following

    def _fail(self, current: dict[str, Any] | None, what: str, trace: list[str]) -> None:
        if current is None:
            return
        self.failures.append({**current, "what": what, "trace": trace[-30:]})
        models = f" --models {self.arguments.models}" if self.arguments.models else ""
        print(f"\nmutant {current['begin']} ({current['kind']} of {current['model']}): {what}")
        print("".join(f"    {line.rstrip()}\n" for line in trace[-12:]), end="")
        options = f"--seed {self.arguments.seed} --only {current['begin']}{models}"
        print(f"  repeat: python tests/fuzz/{Path(self.script).name} {options}", flush=True)

    def _progress(self, done: int, end: int) -> None:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))
        print(
            f"{done - self.arguments.start} of {end - self.arguments.start}: {counts}; {len(self.failures)} failures",
            flush=True,
        )


def _pump(stream: Any, lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def only(arguments: argparse.Namespace) -> None:
    """Runs one mutant in this process, for a debugger."""
    name, kind, data = make(corpus.load(arguments.models), arguments.seed, arguments.only)
    print(f"mutant {arguments.only}: {kind} of {name}, {len(data)} bytes", flush=True)
    if arguments.save:
        arguments.save.write_bytes(data)
    import thew

    try:
        session = thew.InferenceSession(data, memory_limit_bytes=MEMORY_LIMIT_BYTES)
        session.run(None, {value.name: _random_input(value) for value in session.get_inputs()})
    except thew.Error as error:
        print(f"{type(error).__name__}: {error}")
    else:
        print("ran")


def parser_of(text: str) -> argparse.ArgumentParser:
    """The options that all scripts of mutants have."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--models", type=Path, help="a folder of real models, used beside the small ones made here")
    parser.add_argument("--timeout", type=float, default=60, help="seconds that one mutant may take")
    parser.add_argument("--only", type=int, help="run this mutant alone, in this process")
    parser.add_argument("--save", type=Path, help="with --only: where to write the mutant")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--last", type=int, help=argparse.SUPPRESS)
    return parser


def main() -> int:
    arguments = parser_of(__doc__ or "").parse_args()
    if arguments.child:
        child(arguments)
        return 0
    if arguments.only is not None:
        only(arguments)
        return 0
    return report(Run(arguments))


def report(run: Run) -> int:
    """Runs all, and says how it went: 1 where something failed."""
    run.all()
    arguments = run.arguments
    seconds, slowest = run.slowest
    what = f"{arguments.count} mutants of seed {arguments.seed}: {dict(run.counts)}, {len(run.failures)} failures"
    print(f"{what}; slowest {slowest}: {seconds:.1f} s")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
