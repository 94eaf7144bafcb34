"""Spoils checkpoints, and resumes from each.

    python tests/fuzz/checkpoints.py --count 5000 --seed 1

Half of the mutants are spoiled as files: cut, flipped, overwritten, shifted. Those must be refused with a
`CheckpointError`, or be the same training to the bit (a blank more in the header is no other checkpoint). The others
are edited and signed again, as by somebody who knows the format: those must be refused with a `thew.Error`, or train.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kills import Net

import thew
from thew import nn, optim
from thew.errors import CheckpointError
from thew.train import checkpoint
from thew.train.safetensors import pack, unpack

KEY, DIGEST = "thew.checkpoint", "thew.sha256"
VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 3, 0.5, -2.5, 10**12, 2**63, 1e308, float("nan"), "", "x", "fp64", "mixed-fp16", [], [1],
    [0, -1], [3, 8, 8], {}, {"a": 1},
)  # fmt: skip
DTYPES = (np.float32, np.float64, np.int64, np.uint8)


def trainer() -> thew.Trainer:
    with nn.init.seeded(2):
        net = Net()
    optimizer = optim.Adam(lr=0.01, clip_norm=1.0)
    return thew.Trainer(net, optimizer=optimizer, input_shape=(1, 8, 8), precision="mixed-fp16", seed=4)


def batch() -> tuple[Any, Any]:
    source = np.random.default_rng(0)
    return source.standard_normal((4, 1, 8, 8)).astype(np.float32), source.integers(0, 3, 4)


# As a file


def cut(whole: bytes, rng: random.Random) -> bytes:
    return whole[: rng.randrange(len(whole))]


def flipped(whole: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(whole))
    return whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]


def overwritten(whole: bytes, rng: random.Random) -> bytes:
    at, count = rng.randrange(len(whole)), rng.choice((1, 8, 512, 4096))
    filling = rng.choice((bytes(count), rng.randbytes(count), b"9" * count))
    return (whole[:at] + filling + whole[at + count :])[: len(whole)]


def shifted(whole: bytes, rng: random.Random) -> bytes:
    at, count = rng.randrange(len(whole)), rng.choice((1, 8, 100))
    return whole[:at] + (whole[at + count :] if rng.random() < 0.5 else rng.randbytes(count) + whole[at:])


FILE: tuple[Callable[[bytes, random.Random], bytes], ...] = (cut, flipped, overwritten, shifted)


# Edited and signed


def edited(whole: bytes, rng: random.Random) -> bytes:
    """One field of the description, or one tensor, is another; the digest is right."""
    tensors, metadata = unpack(whole, "whole")
    description = json.loads(metadata[KEY])
    if rng.random() < 0.7:
        _edit_field(description, rng)
    else:
        _edit_tensor(tensors, rng)
    text = json.dumps(description, separators=(",", ":"))
    return pack(tensors, {KEY: text, DIGEST: checkpoint._digest(text, tensors)})


def _edit_field(description: dict[str, Any], rng: random.Random) -> None:
    place: Any = description
    while True:
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
            break
        place = place[key]
    if isinstance(place[key], str) and len(place[key]) > 20:  # the graph as text
        words = place[key].split(" ")
        words[rng.randrange(len(words))] = rng.choice(("", "x", "(", "0", "-1", rng.choice(words)))
        place[key] = " ".join(words)
    elif rng.random() < 0.2 and isinstance(place, dict):
        del place[key]
    else:
        place[key] = rng.choice(VALUES)


def _edit_tensor(tensors: dict[str, Any], rng: random.Random) -> None:
    name = rng.choice(list(tensors))
    array = tensors[name]
    kind = rng.randrange(4)
    if kind == 0:
        del tensors[name]
    elif kind == 1:
        tensors[name] = array.astype(rng.choice(DTYPES))
    elif kind == 2:
        tensors[name] = array.reshape(-1)[: rng.randrange(array.size + 1)]
    else:
        tensors[f"{name}{rng.choice(('', 'x'))}"] = np.full_like(array, rng.choice((np.inf, np.nan, 0)))


def state_of(found: thew.Trainer) -> Any:
    arrays = {**found.model.state_dict(), **found._engine.states}
    return {name: array.tobytes() for name, array in arrays.items()}, found.counters, found.history.columns


def outcome(path: Path, is_signed: bool, wanted: Any) -> str:
    """ "refused", "same" or "trains"; anything else is a failure."""
    try:
        found = thew.Trainer.resume(path)
        if not is_signed:
            return "same" if state_of(found) == wanted else "loaded another state"
        found.step(*batch())
        return "trains"
    except CheckpointError:
        return "refused"
    except thew.Error as error:
        return "refused" if is_signed else f"{type(error).__name__}, which is no CheckpointError: {error}"
    except Exception:
        return traceback.format_exc()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="mutants")
    parser.add_argument("--seed", type=int, default=1, help="of the mutants")
    parser.add_argument("--only", type=int, help="run this one")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    counts: Counter[str] = Counter()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="thew-checkpoints-") as name:
        path = Path(name) / "a.ckpt"
        first = trainer()
        first.step(*batch())
        first.save(path)
        whole, wanted = path.read_bytes(), state_of(thew.Trainer.resume(path))
        for index in range(arguments.count) if arguments.only is None else [arguments.only]:
            rng = random.Random(f"{arguments.seed}/{index}")
            mutate = rng.choice((*FILE, *[edited] * len(FILE)))
            path.write_bytes(mutate(whole, rng))
            found = outcome(path, mutate is edited, wanted)
            counts[found if found in ("refused", "same", "trains") else "failed"] += 1
            if found not in ("refused", "same", "trains"):
                failures += 1
                print(f"mutant {index} ({mutate.__name__}) of seed {arguments.seed}: {found}", flush=True)
    print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
