"""`Judge`: the accuracy of candidates on the user's data, beside that of the model as it was; what was asked is kept.

Answers are kept beside measurements, one bit a sample, known by what the candidate computes and what it is asked: the
same candidate is never run twice on the same data, by no process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from thew.compress.accuracy import Accuracy, Data, keeps_accuracy, right_answers
from thew.compress.digests import digest_of, model_key
from thew.ir import Graph
from thew.ir.graph import Array
from thew.runtime.cache import Store
from thew.runtime.session import InferenceSession

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    model TEXT NOT NULL, data TEXT NOT NULL, asked INTEGER NOT NULL, answers BLOB NOT NULL,
    PRIMARY KEY (model, data)) WITHOUT ROWID
"""


class Answers(Store):
    """Right and wrong answers, by model and data.

    Args:
        path: of the file; None keeps nothing beyond the process.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(_SCHEMA, path)

    def find(self, model: str, data: str, count: int) -> np.ndarray | None:
        """What a model answers, where it is known for so many samples."""
        with self.guarded() as connection:
            row = connection.execute(
                "SELECT asked, answers FROM answers WHERE model = ? AND data = ?", (model, data)
            ).fetchone()
        if row is None or row[0] != count or not isinstance(row[1], bytes) or len(row[1]) != (count + 7) // 8:
            return None
        return np.unpackbits(np.frombuffer(row[1], np.uint8), count=count).astype(bool)

    def add(self, model: str, data: str, answers: np.ndarray) -> None:
        """Keeps the answers to all samples."""
        packed = np.packbits(answers).tobytes()
        with self.guarded() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", (model, data, len(answers), packed)
            )


class Judge:
    """Asks candidates for classes of samples.

    Args:
        reference: the model that others are compared with.
        data: samples and their classes.
        batch: samples of a run, where the model leaves that open.
        threads: workers of a run.
        cache: file of answers; None keeps nothing beyond the process.
    """

    def __init__(
        self, reference: Graph, data: Data, *, batch: int = 8, threads: int = 1, cache: Path | None = None
    ) -> None:
        declared = next((value.type.shape[0] for value in reference.inputs if value.type.shape), "n")
        self._fixed = isinstance(declared, int)
        self._batch = int(declared) if isinstance(declared, int) else batch
        self._threads = threads
        order = np.random.default_rng(0).permutation(len(data.x))  # tests in sequence want no order of classes
        count = len(order) // self._batch * self._batch if self._fixed else len(order)
        self._data = Data(data.x[order[:count]], data.y[order[:count]])
        self._key = digest_of((self._data.x, self._data.y))
        self._answers = Answers(cache)
        self._reference = self._all(reference)
        self.before = _count(self._reference)

    def accuracy(self, graph: Graph) -> Accuracy:
        """A model's accuracy on all samples."""
        return _count(self._all(graph))

    def keeps(self, graph: Graph, most_drop: float) -> tuple[bool, Accuracy]:
        """Whether a model loses at most so much of the reference's accuracy; given up early where that is clear."""
        key = model_key(graph)
        known = self._answers.find(key, self._key, len(self._data.x))
        if known is not None:
            found = _count(known)
            return self.before.right - found.right <= most_drop * found.asked, found
        asked: list[np.ndarray] = []
        kept, found = keeps_accuracy(self._run(graph), self._data, self._batch, self._reference, most_drop, asked)
        if found.asked == len(self._data.x):
            self._answers.add(key, self._key, np.concatenate(asked))
        return kept, found

    def _all(self, graph: Graph) -> np.ndarray:
        key = model_key(graph)
        known = self._answers.find(key, self._key, len(self._data.x))
        if known is None:
            known = right_answers(self._run(graph), self._data, self._batch, self._fixed)
            self._answers.add(key, self._key, known)
        return known

    def _run(self, graph: Graph) -> Callable[[Array], Array]:
        session = InferenceSession(graph, threads=self._threads)
        name = session.get_inputs()[0].name
        return lambda x: np.asarray(session.run(None, {name: x})[0])


def _count(answers: np.ndarray) -> Accuracy:
    return Accuracy(int(answers.sum()), len(answers))
