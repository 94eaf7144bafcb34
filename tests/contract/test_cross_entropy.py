"""Every cross_entropy row against the op's reference in fp64: weights, smoothing, ignored labels, layouts, threads.

A sample's sum of `classes` exponentials errs by at most (classes / lanes + max|x − m| + 16)·eps relatively
(kernels/softmax/contract.hpp); the loss adds eps of its largest logit, since log p = x − m − log Σ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, LAYOUTS, native, placed, rows

from thew import ops
from thew.errors import InputError, PlanError

ROWS = rows("cross_entropy")
RNG = np.random.default_rng(31)


def drawn(shape: tuple[int, ...], dtype: str, weighted: bool) -> list[Any]:
    logits = (4 * RNG.standard_normal(shape)).astype(DTYPES[dtype])
    labels = RNG.integers(0, shape[1], (shape[0], *shape[2:]))
    return (
        [logits, labels, np.abs(RNG.standard_normal(shape[1])).astype(DTYPES[dtype])] if weighted else [logits, labels]
    )


def check(row: Any, inputs: list[Any], attributes: dict[str, Any], layout: str = "plain", threads: int = 1) -> None:
    logits = inputs[0]
    wide = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in inputs]
    given = {"ignore_index": -100, "label_smoothing": 0.0, "reduction": "mean", **attributes}
    loss, gradient = ops.get("softmax_cross_entropy").reference(given, *wide)
    found, out = np.zeros((), logits.dtype), placed(np.full(logits.shape, np.nan, logits.dtype), layout)
    native.run_kernel(
        row.name, "softmax_cross_entropy", [placed(logits, layout), *inputs[1:]], [found, out], given, (), threads
    )
    eps, classes = np.finfo(logits.dtype).eps, logits.shape[1]
    weight = 1.0 if len(inputs) < 3 else float(inputs[2].max())
    samples = 1 if given["reduction"] == "mean" else inputs[1].size
    relative = (classes + 2 * float(np.abs(logits).max()) + 16) * eps
    assert abs(found - loss) <= relative * max(weight, 1.0) * samples * (1 + float(np.abs(logits).max()))
    scale = np.abs(gradient).max(initial=0) if given["reduction"] == "mean" else weight
    assert np.all(np.abs(out - gradient) <= relative * (scale + np.abs(gradient)))


@pytest.mark.parametrize("shape", [(64, 10), (3, 1), (5, 1000), (2, 7, 3, 5), (1, 17)])
@pytest.mark.parametrize("row", ROWS)
def test_losses(row: Any, shape: tuple[int, ...]) -> None:
    for weighted in (False, True):
        for attributes in ({}, {"reduction": "sum"}, {"label_smoothing": 0.1}, {"ignore_index": 0}):
            if attributes.get("ignore_index") == 0 and shape[1] == 1:
                continue
            check(row, drawn(shape, row.a, weighted), attributes, threads=3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("row", ROWS)
def test_strides(row: Any, layout: str) -> None:
    logits, labels = drawn((4, 6, 3, 5), row.a, False)
    check(row, [logits, placed(labels.astype(np.int32), layout)], {"label_smoothing": 0.2}, layout, 2)


@pytest.mark.parametrize("row", ROWS)
def test_extremes(row: Any) -> None:
    """Large logits neither overflow nor lose the gradient's sum of 0; a NaN spoils its own sample only."""
    logits = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [0, np.nan, 1]], DTYPES[row.a])
    labels = np.array([0, 1, 2])
    loss, gradient = np.zeros((), logits.dtype), np.zeros_like(logits)
    native.run_kernel(row.name, "softmax_cross_entropy", [logits, labels], [loss, gradient], {"reduction": "sum"})
    np.testing.assert_allclose(gradient[:2], [[0, 0, 0], [1 / 3, -2 / 3, 1 / 3]], atol=4 * np.finfo(logits.dtype).eps)
    assert np.isnan(loss) and np.all(np.isnan(gradient[2]))


@pytest.mark.parametrize("row", ROWS)
def test_threads_do_not_change_a_bit(row: Any) -> None:
    logits, labels = drawn((999, 10), row.a, False)
    found = []
    for threads in (1, 2, 5):
        loss, gradient = np.zeros((), logits.dtype), np.zeros_like(logits)
        native.run_kernel(row.name, "softmax_cross_entropy", [logits, labels], [loss, gradient], {}, (), threads)
        found.append(loss.tobytes() + gradient.tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("row", ROWS[:1])
def test_what_is_refused(row: Any) -> None:
    logits, labels = drawn((4, 6), row.a, False)
    outputs = [np.zeros((), logits.dtype), np.zeros_like(logits)]
    with pytest.raises(PlanError, match="logits must be"):
        native.run_kernel(row.name, "softmax_cross_entropy", [logits, labels[1:]], outputs)
    with pytest.raises(InputError, match="labels must be within"):
        native.run_kernel(row.name, "softmax_cross_entropy", [logits, labels + 6], outputs)
