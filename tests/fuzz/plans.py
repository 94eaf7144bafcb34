"""Runs seeded mutants of saved plans through `thew.InferenceSession`: load, check, run.

    python tests/fuzz/plans.py --count 5000 --seed 1

Edited text must be refused, or be the same plan in another layout. What is forged, its digest made anew, must be
refused or run within its bounds. A crash, a hang or an exception that is no `thew.Error` is a failure.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutants
import mutations
import numpy as np

SHAPE = (1, 3, 12, 12)
_FORGED_SHARE = 0.5


def base_plans() -> tuple[Any, dict[str, str]]:
    """A model, and its plans by name, as text: in fp32, on integers and in 16 bits."""
    import thew
    from thew import nn
    from thew.compress import Calibrator
    from thew.runtime.device import target
    from thew.search.mixed import MixedEnvironment
    from thew.search.network_level import planned_graph
    from thew.search.space import Settings

    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(288, 5)).graph(SHAPE)
    types = {value.name: value.type for value in model.inputs}
    samples = np.random.default_rng(0).standard_normal((16, *SHAPE[1:])).astype(np.float32)
    graph = planned_graph(model, types, Settings())
    space = MixedEnvironment(model, graph, target(1), Calibrator(model, samples), half="bf16")
    space.fill({}, frozenset())
    plans = {"fp32": thew.InferenceSession(model, threads=1).plan}
    for precision in ("int8", "bf16"):
        chosen = [
            next((i for i, way in enumerate(ways) if way.choice.precision == precision), 0)
            for ways in space.alternatives.values()
        ]
        mixed = space.network(tuple(chosen))
        assert mixed is not None
        plans[precision] = mixed.plan
    texts = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, plan in plans.items():
            plan.save(Path(folder) / name)
            texts[name] = (Path(folder) / name).read_text()
    return model, texts


def mutate(texts: dict[str, str], rng: random.Random) -> tuple[str, str, bytes]:
    """The name of a plan and of what was done to it, and the mutant."""
    name = rng.choice(list(texts))
    if rng.random() < _FORGED_SHARE:
        return name, "forged", _forged(json.loads(texts[name]), rng)
    text = bytearray(texts[name].encode())
    at = rng.randrange(len(text))
    kind = rng.choice(("flip", "cut", "delete", "digit"))
    if kind == "flip":
        text[at] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del text[at:]
    elif kind == "delete":
        del text[at : at + rng.choice((1, 2, 16, 256))]
    else:
        digits = [i for i, byte in enumerate(text) if chr(byte).isdigit()]
        text[rng.choice(digits)] = ord(str(rng.randrange(10)))
    return name, kind, bytes(text)


def _forged(document: dict[str, Any], rng: random.Random) -> bytes:
    """Some fields of the plan changed, and the digest made to fit."""
    from thew.plan.plan import digest_of

    document.pop("digest")
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = list(_places(document))
        holder, key = rng.choice(places)
        old = holder[key]
        if isinstance(old, bool) or old is None:
            holder[key] = rng.choice((True, False, None, 1))
        elif isinstance(old, int):
            holder[key] = rng.choice((*mutations.INTEGERS, old + 1, old - 1, old * 2))
        elif isinstance(old, float):
            holder[key] = rng.choice(mutations.FLOATS)
        elif isinstance(old, str):
            strings = [h[k] for h, k in places if isinstance(h[k], str)]
            holder[key] = rng.choice((*mutations.TEXTS, rng.choice(strings)))
        elif isinstance(old, list) and old:
            holder[key] = rng.choice((old[:-1], old[::-1], [*old, old[0]]))
        else:
            holder[key] = rng.choice(({}, [], 0, "x", None))
    return json.dumps({**document, "digest": digest_of(document)}).encode()


def _places(value: Any) -> Any:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def child(arguments: argparse.Namespace) -> None:
    """Runs mutants first to last; dies with the one that kills it."""
    import thew

    model, texts = base_plans()
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    path = Path(tempfile.mkdtemp()) / "plan.json"
    expected = {}
    for name, text in texts.items():
        path.write_text(text)
        (expected[name],) = thew.InferenceSession(model, plan=path).run(None, {"input": x})

    def mutant(index: int) -> tuple[str, str, Callable[[], str]]:
        name, kind, data = mutate(texts, random.Random(f"{arguments.seed}/{index}"))

        def run() -> str:
            path.write_bytes(data)
            try:
                (found,) = thew.InferenceSession(model, plan=path, memory_limit_bytes=mutants.MEMORY_LIMIT_BYTES).run(
                    None, {"input": x}
                )
            except thew.Error:
                return "refused"
            if kind != "forged":
                np.testing.assert_array_equal(found, expected[name])
            return "ran"

        return name, kind, run

    mutants.attempt(arguments, mutant)


def main() -> int:
    arguments = mutants.parser_of(__doc__ or "").parse_args()
    if arguments.only is not None:
        arguments.start, arguments.count = arguments.only, 1
    if arguments.child:
        child(arguments)
        return 0
    return mutants.report(mutants.Run(arguments, __file__))


if __name__ == "__main__":
    sys.exit(main())
