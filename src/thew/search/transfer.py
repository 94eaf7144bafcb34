"""What another device's measurements say of this one's: a cost model learnt there, brought here by few samples.

Times are predicted as logarithms. There: ridge regression on multiply-adds, bytes and extents and their products, with
slopes and a level for each kind of kernel and for each instruction set; a kind of kernel that was measured there on the
same layer is taken as it was, on the instruction set that was fastest. Here: what is there plus a correction, another
ridge regression on what was measured here, which where little is known stays near a common factor. A survey then
measures a few whole layers, such that every kind of kernel is among them, corrects, and of the other layers measures
only what may be worth it; what is far behind keeps its prediction, for this search alone.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import exp, inf, log, prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thew.dtypes import size_bytes
from thew.errors import Error, InputError
from thew.ir import Node, TensorType
from thew.ops import Call, get
from thew.runtime.cache import Cache, Measurement, foreign
from thew.search.measure import HOPELESS, Trial, measure

Vector = NDArray[np.float64]
Survey = Callable[..., tuple[dict[str, Measurement], frozenset[str]]]  # as `thew.search.measure.measure`
_TYPE = re.compile(r"([a-z0-9]+)\[([0-9,]*)\]")
_KERNEL = re.compile(r"(.+?)_((?:fp|bf|u?int)\d+)(?:_(?:fp|bf|u?int)\d+)*(?:_\d+x\d+x\d+)?_([a-z]\w*)")
_RIDGE_THERE, _RIDGE_HERE = 0.3, 1.0  # in units of a sample: how much is asked of a term before it is believed
_SEEN = 2  # layers that every kind of kernel is measured in, where it is in so many
_SURE = 0.9  # of the errors lie below what a prediction is trusted to


@dataclass(frozen=True)
class Described:
    """What a key says: the kind of kernel, its instruction set, the layer, and the work as logarithms."""

    kind: str
    isa: str
    layer: str
    work: tuple[float, ...]


def describe(key: str) -> Described | None:
    """What a key says; None for what is no way to run a layer, and for what cannot be read."""
    try:
        name, *rest = json.loads(key)
        layer = key.partition(",")[2]
        if name == "copy":
            dtype, shape, transposed, _ = rest
            size = float(prod(map(int, shape)))
            return Described(
                f"copy {dtype} {bool(transposed)}", "", layer, _work(size, 2 * size * size_bytes(dtype), size)
            )
        found = _KERNEL.fullmatch(name)
        if found is None:
            return None
        op, texts, _, attributes, *_ = rest
        types = tuple(None if text is None else _parsed(text) for text in texts)
        sizes = [(prod(known.static_shape), size_bytes(known.dtype)) for known in types if known is not None]
        operands = tuple("" if known is None else f"x{index}" for index, known in enumerate(types))
        call = Call(Node(op, operands, ("y",), attributes), types, (None,) * len(types))
        first = float(sizes[0][0]) if sizes else 1.0
        work = _work(_flops(call, first), float(sum(map(prod, sizes))), first)
        return Described(f"{found[1]} {found[2]}", found[3], layer, work)
    except (Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        return None


def _parsed(text: str) -> TensorType:
    found = _TYPE.fullmatch(text)
    if found is None:
        raise ValueError(f"no type: {text}")
    return TensorType(found[1], tuple(map(int, filter(None, found[2].split(",")))))


def _flops(call: Call, otherwise: float) -> float:
    try:
        return float(get(call.node.op).flops(call))
    except (Error, LookupError, TypeError):  # an op whose result depends on values that a key has not
        return otherwise


def _work(flops: float, size: float, first: float) -> tuple[float, ...]:
    logs = log(1 + flops), log(1 + size), log(1 + first)
    squares = (a * b / 20 for a, b in combinations_with_replacement(logs, 2))  # about as large as the logarithms
    return *logs, *squares, 1.0


class Ridge:
    """Linear regression with a penalty on its terms: a shared slope for each feature, and levels or slopes for words.

    Args:
        rows: features of each sample.
        words: of each sample, beside each of which all of its features have weights of their own.
        values: to be met.
        penalty: on the square of each weight but those that all share, which are hardly penalised.
    """

    def __init__(self, rows: Vector, words: Sequence[Sequence[str]], values: Vector, penalty: float) -> None:
        known = dict.fromkeys(word for each in words for word in each)
        self._places = {word: place for place, word in enumerate(known, 1)}
        matrix = self._matrix(rows, words)
        weights = np.full(matrix.shape[1], penalty)
        weights[: rows.shape[1]] = 1e-3
        self._weights = np.linalg.solve(matrix.T @ matrix + np.diag(weights), matrix.T @ values)

    def _matrix(self, rows: Vector, words: Sequence[Sequence[str]]) -> Vector:
        width = rows.shape[1]
        matrix = np.zeros((len(rows), width * (1 + len(self._places))))
        matrix[:, :width] = rows
        for index, each in enumerate(words):
            for word in each:
                if place := self._places.get(word):
                    matrix[index, place * width : (place + 1) * width] = rows[index]
        return matrix

    def __call__(self, rows: Vector, words: Sequence[Sequence[str]]) -> Vector:
        """The values of other samples."""
        found: Vector = self._matrix(rows, words) @ self._weights
        return found


def _known(keys: Collection[str]) -> dict[str, Described]:
    found = ((key, describe(key)) for key in keys)
    return {key: one for key, one in found if one is not None}


class CostModel:
    """Times on a device, learnt from some that were measured there.

    Args:
        seconds: that were measured, by key.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        known = _known(seconds)
        if not known:
            raise InputError("transfer: must have measurements of layers, got none; search on that device first")
        times = [log(seconds[key]) for key in known]
        self._measured: dict[tuple[str, str], float] = {}
        for one, time in zip(known.values(), times, strict=True):
            same = one.kind, one.layer
            self._measured[same] = min(time, self._measured.get(same, inf))
        self._ridge = Ridge(*_inputs(known.values()), np.array(times), _RIDGE_THERE)

    def logarithms(self, described: Mapping[str, Described]) -> Vector:
        """Logarithms of seconds: as measured, or predicted."""
        found = self._ridge(*_inputs(described.values()))
        for index, one in enumerate(described.values()):
            found[index] = self._measured.get((one.kind, one.layer), found[index])
        return found

    def adapted(self, seconds: Mapping[str, float]) -> Adapted:
        """The model of a device where these were measured."""
        return Adapted(self, seconds)


def _inputs(described: Collection[Described]) -> tuple[Vector, list[tuple[str, str]]]:
    return np.array([one.work for one in described]).reshape(len(described), -1), [
        (one.kind, f"isa {one.isa}") for one in described
    ]


class Adapted:
    """Another device's model, corrected by what was measured here."""

    def __init__(self, there: CostModel, seconds: Mapping[str, float]) -> None:
        self.there, known = there, _known(seconds)
        self._level = 0.0
        self._ridge: Ridge | None = None
        if known:
            off = np.array([log(seconds[key]) for key in known]) - there.logarithms(known)
            self._level = float(np.median(off))
            self._ridge = Ridge(*_centred(known.values()), off - self._level, _RIDGE_HERE)

    def seconds(self, keys: Collection[str]) -> dict[str, float]:
        """Predictions, of the keys that can be read."""
        known = _known(keys)
        if not known:
            return {}
        found = self.there.logarithms(known) + self._level
        if self._ridge is not None:
            found += self._ridge(*_centred(known.values()))
        return {key: exp(min(value, 100.0)) for key, value in zip(known, found.tolist(), strict=True)}


def _centred(described: Collection[Described]) -> tuple[Vector, list[tuple[str, str]]]:
    """Levels alone, and how the size of the work changes them."""
    rows, words = _inputs(described)
    return np.stack([rows[:, -1], (rows[:, 0] - 15.0) / 10.0], axis=1), words


@dataclass(frozen=True)
class Agreement:
    """How well predictions met what was measured and not learnt from.

    Attributes:
        samples: that were learnt from, of this device.
        held_out: that were not.
        median_error: of the held out, the median of |predicted ÷ measured − 1|.
        rank_correlation: of the held out (Spearman).
        left: ways that were not measured, since their prediction was far behind.
    """

    samples: int
    held_out: int
    median_error: float
    rank_correlation: float
    left: int = 0

    @staticmethod
    def of(predicted: Mapping[str, float], measured: Mapping[str, float], samples: int, left: int = 0) -> Agreement:
        """The agreement on the keys of both."""
        keys = [key for key in predicted if key in measured]
        if len(keys) < 2:
            return Agreement(samples, len(keys), 0.0, 0.0, left)
        a, b = (np.array([found[key] for key in keys]) for found in (predicted, measured))
        ranks = [np.argsort(np.argsort(values)).astype(np.float64) for values in (a, b)]
        error = float(np.median(np.abs(a / b - 1)))
        return Agreement(samples, len(keys), error, float(np.corrcoef(ranks[0], ranks[1])[0, 1]), left)


def compare(there: Mapping[str, float], here: Mapping[str, float], samples: int, seed: int = 0) -> Agreement:
    """How well a model of one device, with some samples of another drawn by chance, predicts the others of it."""
    keys = sorted(_known(here))
    drawn = set(np.random.default_rng(seed).permutation(len(keys))[:samples].tolist())
    seen = {key: here[key] for index, key in enumerate(keys) if index in drawn}
    rest = {key: here[key] for index, key in enumerate(keys) if index not in drawn}
    return Agreement.of(CostModel(there).adapted(seen).seconds(rest), rest, len(seen))


@dataclass
class Transfer:
    """A survey that starts from another device's measurements.

    Attributes:
        model: learnt from them.
        survey: measures here.
        agreement: what came of it, once it has run.
    """

    model: CostModel
    survey: Survey = measure
    agreement: Agreement | None = None

    @staticmethod
    def of(path: str | os.PathLike[str]) -> Transfer:
        """From a cache. Raises InputError where that is none, or holds nothing of use."""
        return Transfer(CostModel({key: one.seconds for key, one in foreign(Path(path)).items()}))

    def measure(
        self,
        trials: Sequence[Trial],
        cache: Cache,
        budget_seconds: float,
        progress: Callable[[int, int], None] = lambda done, total: None,
        farm: Executor | None = None,
    ) -> tuple[dict[str, Measurement], frozenset[str]]:
        """As `thew.search.measure.measure`, which measures here what predictions leave open."""
        already = cache.known().keys()
        layers: dict[str, list[Trial]] = {}
        for trial in trials:
            layers.setdefault(trial.layer, []).append(trial)
        guess = self.model.adapted({}).seconds([trial.key for trial in trials])
        first = cover(layers, guess)
        chosen = [trial for layer in first for trial in layers[layer]]
        known, refused = self.survey(chosen, cache, budget_seconds, progress, farm)
        seen = {trial.key: known[trial.key].seconds for trial in chosen if trial.key in known}
        predicted = self.model.adapted(seen).seconds([trial.key for trial in trials if trial.key not in seen])
        limit = HOPELESS * exp(self._spread([[t.key for t in layers[layer]] for layer in first], seen))
        hopeful = [trial for one in layers.values() for trial in _hopeful(one, predicted, limit, already)]
        known, also = self.survey([*chosen, *hopeful], cache, budget_seconds, progress, farm)
        left = {t.key for t in trials} - known.keys() - refused - also
        measured = {key: one.seconds for key, one in known.items() if key not in already}
        self.agreement = Agreement.of(predicted, measured, len(seen), len(left))
        for key in left & predicted.keys():
            known[key] = Measurement(key, predicted[key], 0.0, 0)
        return known, refused | also

    def _spread(self, layers: Sequence[Sequence[str]], seen: Mapping[str, float]) -> float:
        """How far predictions of a layer are off that was not learnt from, as a logarithm, but for a few."""
        off: list[float] = []
        for layer in layers:
            others = {key: seconds for key, seconds in seen.items() if key not in layer}
            found = self.model.adapted(others).seconds([key for key in layer if key in seen])
            off += [abs(log(seconds / seen[key])) for key, seconds in found.items()]
        return float(np.quantile(off, _SURE)) if off else 0.0


def cover(layers: Mapping[str, Sequence[Trial]], guess: Mapping[str, float]) -> list[str]:
    """Layers in which every kind of kernel occurs twice, as far as it does, cheap ones first."""
    kinds = {name: {_kind(trial.key) for trial in trials} for name, trials in layers.items()}
    cost = {name: sum(guess.get(trial.key, 0.0) for trial in trials) for name, trials in layers.items()}
    wanted = {kind: min(_SEEN, count) for kind, count in Counter(k for each in kinds.values() for k in each).items()}
    chosen: list[str] = []
    while any(wanted.values()):
        gain = {name: sum(wanted[kind] > 0 for kind in kinds[name]) for name in layers if name not in chosen}
        best = max(gain, key=lambda name: (gain[name] / (cost[name] + 1e-6), name))
        chosen.append(best)
        for kind in kinds[best]:
            wanted[kind] = max(0, wanted[kind] - 1)
    return chosen


def _kind(key: str) -> tuple[str, str]:
    found = describe(key)
    return ("", "") if found is None else (found.kind, found.isa)


def _hopeful(
    layer: Sequence[Trial], predicted: Mapping[str, float], limit: float, already: Collection[str]
) -> list[Trial]:
    """The ways that may be worth measuring, and those that are known."""
    best = min((predicted.get(trial.key, inf) for trial in layer), default=inf)
    return [t for t in layer if t.key in already or predicted.get(t.key, 0.0) <= limit * best]
