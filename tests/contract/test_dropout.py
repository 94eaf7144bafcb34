"""Every dropout row against the op's reference: the generator's published test vectors, layouts, in place, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, SHAPES, native, placed, rows

from thew import ops
from thew.errors import PlanError
from thew.ops.draw import philox

ROWS = rows("dropout")
RNG = np.random.default_rng(41)


def numbers(*values: int) -> list[Any]:
    return [np.array([value], np.int64) for value in values]


def dropped(row: Any, x: Any, y: Any, seed: int, offset: int, threads: int = 1, **given: Any) -> Any:
    native.run_kernel(row.name, "dropout_training", [x, *numbers(seed, offset)], [y], given, (), threads)
    return y


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_generator_gives_the_published_vectors(counter: Any, key: Any, words: Any) -> None:
    """Known answers of the paper's authors."""
    found = philox(tuple(np.array([part], np.uint64) for part in counter), key)
    assert tuple(int(word[0]) for word in found) == words


@pytest.mark.parametrize("row", ROWS)
def test_agrees_with_the_reference(row: Any) -> None:
    """Bit for bit what is dropped; what is kept within two roundings. Seeds and offsets beyond 32 bits."""
    for shape in SHAPES:
        x = np.asarray(RNG.standard_normal(shape), DTYPES[row.a])
        for ratio, stream, seed, offset in ((0.5, 0, 7, 0), (0.3, 2, -3, 11), (0.0, 1, 2**40 + 5, 2**33 + 1)):
            given = {"ratio": ratio, "stream": stream}
            y = dropped(row, x, np.full_like(x, np.nan), seed, offset, 2, **given)
            wanted = ops.get("dropout_training").reference(given, x, *numbers(seed, offset))[0]
            np.testing.assert_array_equal(y == 0, wanted == 0)
            np.testing.assert_allclose(y, wanted, rtol=2 * np.finfo(x.dtype).eps)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_layouts_and_threads_do_not_change_the_mask(row: Any, layout: str) -> None:
    x = RNG.standard_normal((5, 70, 9, 31)).astype(DTYPES[row.a])
    plain = dropped(row, x, np.zeros_like(x), 1, 2, ratio=0.4)
    there = dropped(row, placed(x, layout), placed(np.zeros_like(x), "channels_last"), 1, 2, 5, ratio=0.4)
    np.testing.assert_array_equal(there, plain)
    itself = placed(x, layout)
    np.testing.assert_array_equal(dropped(row, itself, itself, 1, 2, 3, ratio=0.4), plain)


@pytest.mark.parametrize("row", ROWS)
def test_share_that_is_dropped(row: Any) -> None:
    """Of n elements a share of ratio, within five standard deviations."""
    x = np.ones(200_000, DTYPES[row.a])
    zeros = np.mean(dropped(row, x, np.zeros_like(x), 12, 34, ratio=0.25) == 0)
    assert abs(zeros - 0.25) < 5 * np.sqrt(0.25 * 0.75 / x.size)


@pytest.mark.parametrize("row", ROWS[:1])
def test_what_is_refused(row: Any) -> None:
    x = np.zeros(4, DTYPES[row.a])
    with pytest.raises(PlanError, match="ratio must be within"):
        dropped(row, x, x.copy(), 0, 0, ratio=1.0)
    with pytest.raises(PlanError, match="y must have x's shape"):
        dropped(row, x, x[1:].copy(), 0, 0)
