"""What was seen of a network's values on samples, kept beside measurements: a second calibration runs nothing.

It is known by what the network computes and by the samples. What is damaged is looked at anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from thew.compress.calibration import Histogram
from thew.compress.calibration.histogram import BINS
from thew.compress.digests import digest_of, model_key
from thew.compress.observe import Progress, Seen, observe, silent
from thew.compress.samples import Feeds
from thew.ir import Graph
from thew.runtime.cache import Store

_SCHEMA = """
CREATE TABLE IF NOT EXISTS observations (
    model TEXT NOT NULL, data TEXT NOT NULL, seen BLOB NOT NULL, PRIMARY KEY (model, data)) WITHOUT ROWID
"""


def observe_once(
    graph: Graph,
    names: Sequence[str],
    feeds: Feeds,
    batch: int,
    threads: int,
    cache: Path | None,
    progress: Progress = silent,
) -> Seen:
    """`observe`, or what it gave before for this graph and these samples.

    Args:
        graph: of which values are looked at.
        names: of the values.
        feeds: samples.
        batch: samples of a run.
        threads: workers of a run.
        cache: file that what was seen is kept in; None keeps nothing.
        progress: called with what is done.
    """
    if cache is None:
        return observe(graph, names, feeds, batch, threads, progress)
    store = Store(_SCHEMA, cache)
    try:
        key = (model_key(graph), f"{digest_of(feeds.values())} {batch} {json.dumps(list(names))}")
        with store.guarded() as connection:
            row = connection.execute("SELECT seen FROM observations WHERE model = ? AND data = ?", key).fetchone()
        found = None if row is None else _unpacked(row[0], names)
        if found is None:
            found = observe(graph, names, feeds, batch, threads, progress)
            with store.guarded() as connection:
                connection.execute("INSERT OR REPLACE INTO observations VALUES (?, ?, ?)", (*key, _packed(found)))
        return found
    finally:
        store.close()


def _packed(seen: Seen) -> bytes:
    file, names = BytesIO(), list(seen.histograms)
    ends = np.array([(one.low, one.high) for one in seen.histograms.values()], np.float64).reshape(-1, 2)
    counts = np.array([one.counts for one in seen.histograms.values()], np.int64).reshape(-1, BINS)
    arrays: dict[str, Any] = {f"high{names.index(name)}": array for name, array in seen.channel_highs.items()}
    np.savez_compressed(file, names=np.array(json.dumps(names)), ends=ends, counts=counts, **arrays)
    return file.getvalue()


def _unpacked(data: object, names: Sequence[str]) -> Seen | None:
    """What was packed; None for anything else, or for other values."""
    if not isinstance(data, bytes):
        return None
    try:
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            known = json.loads(str(arrays["names"]))
            ends, counts = arrays["ends"], arrays["counts"]
            highs = {known[int(key.removeprefix("high"))]: arrays[key] for key in arrays.files if key[:4] == "high"}
    except (OSError, ValueError, KeyError, IndexError, TypeError, BadZipFile, EOFError):
        return None
    sound = set(known) == set(names) and ends.shape == (len(known), 2) and counts.shape == (len(known), BINS)
    sound = sound and counts.dtype == np.int64 and bool((counts >= 0).all())
    if not sound or not all(isfinite(low) and isfinite(high) and low <= 0 <= high for low, high in ends):
        return None
    if not all(array.ndim == 1 and array.dtype.kind == "f" for array in highs.values()):
        return None
    pairs = zip(known, ends, counts, strict=True)
    return Seen({name: Histogram(float(low), float(high), own) for name, (low, high), own in pairs}, highs)
