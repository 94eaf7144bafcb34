"""Every update row against the ops' references in fp64: methods, absent states, in place or not, skipped steps.

An update is at most 20 roundings of terms of the size of the parameter, the states and the change: |error| <= 32·eps
times the largest of them (the change divided by what the root's denominator is at least here).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import DTYPES, native, placed, rows

from thew import ops
from thew.errors import PlanError
from thew.ops.update import HYPER, NUMBERS, STATES

ROWS = rows("update")
RNG = np.random.default_rng(37)
VALUES = {
    "lr": 0.05, "weight_decay": 0.02, "clip": np.inf, "momentum": 0.9, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-3,
    "alpha": 0.95, "lr_decay": 0.1, "momentum_decay": 0.004,
}  # fmt: skip


def drawn(op: str, dtype: str, shape: tuple[int, ...], absent: tuple[str, ...], **more: float) -> list[Any]:
    """Inputs: parameter, gradient, hyper, factor, states, numbers; squares exceed the squares of the middle."""
    arrays = [np.asarray(RNG.standard_normal(shape), DTYPES[dtype]) for _ in range(2)]
    hyper = np.array([{**VALUES, **more}[name] for name in HYPER[op]])
    states = [
        None if name in absent else np.asarray(np.abs(RNG.standard_normal(shape)) + (name == "square"), DTYPES[dtype])
        for name in STATES[op]
    ]
    numbers = [np.array([0.5 if name == "product" else 3.0]) for name in NUMBERS[op]]
    return [*arrays, hyper, None, *states, *numbers]


def run(row: Any, op: str, inputs: list[Any], in_place: bool, threads: int = 1, **attributes: int) -> list[Any]:
    """What changes, in the order of the outputs that are not absent."""
    given = [None if array is None else np.array(array, order="C") for array in inputs]
    changing = [given[0], *(state for state in given[4 : 4 + len(STATES[op])] if state is not None)]
    if op == "update_nadam":
        changing.append(given[4 + len(STATES[op])])
    outputs = changing if in_place else [np.full_like(array, np.nan) for array in changing]
    native.run_kernel(row.name, op, given, outputs, attributes, (), threads)
    return outputs


def check(row: Any, op: str, inputs: list[Any], **attributes: int) -> None:
    wide = [None if array is None else np.asarray(array, np.float64) for array in inputs]
    given = {**ops.get(op).attributes, **attributes}
    wanted = [value for value in ops.get(op).reference(given, *wide) if value is not None]
    for in_place, threads in ((True, 1), (False, 3)):
        for found, value in zip(run(row, op, inputs, in_place, threads, **attributes), wanted, strict=True):
            size = 4 + np.abs(value) + np.abs(wide[0]) + np.max(np.abs(wide[1]), initial=0) ** 2
            assert np.all(np.abs(found - value) <= 32 * np.finfo(found.dtype).eps * size)


SETTINGS: tuple[tuple[str, tuple[str, ...], dict[str, int]], ...] = (
    ("update_sgd", (), {}), ("update_sgd", (), {"nesterov": 1}), ("update_sgd", ("velocity*",), {}),
    ("update_adam", (), {}), ("update_adam", (), {"decoupled": 1}), ("update_nadam", (), {}),
    ("update_nadam", (), {"decoupled": 1}), ("update_adagrad", (), {}), ("update_rmsprop", (), {}),
    ("update_rmsprop", ("velocity*",), {}), ("update_rmsprop", ("middle*",), {}),
    ("update_rmsprop", ("velocity*", "middle*"), {}),
)  # fmt: skip


@pytest.mark.parametrize(("op", "absent", "attributes"), SETTINGS)
@pytest.mark.parametrize("row", ROWS)
def test_methods(row: Any, op: str, absent: tuple[str, ...], attributes: dict[str, int]) -> None:
    for shape in ((67,), (3, 5, 3, 3), (1,), (), (0, 4), (70, 500)):
        inputs = drawn(op, row.a, shape, absent)
        if op == "update_rmsprop" and inputs[6] is not None:
            inputs[6] = np.asarray(inputs[6] / 8, inputs[6].dtype)  # a variance stays well above 0
        check(row, op, inputs, **attributes)


@pytest.mark.parametrize("kind", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("op", HYPER)
@pytest.mark.parametrize("row", ROWS)
def test_a_narrower_gradient_is_widened(row: Any, op: str, kind: str) -> None:
    """To the bit what the update makes of the same numbers in the parameter's type."""
    for shape in ((67,), (3, 700), (0, 4), ()):
        inputs = drawn(op, row.a, shape, (), momentum=0.5)
        narrow = np.asarray(inputs[1], DTYPES[kind])
        inputs[1] = np.asarray(narrow, DTYPES[row.a])
        if op == "update_rmsprop":
            inputs[6] = np.asarray(inputs[6] / 8, inputs[6].dtype)
        wanted = run(row, op, inputs, True)
        found = run(row, op, [inputs[0], narrow, *inputs[2:]], False, 2)
        assert [array.tobytes() for array in found] == [array.tobytes() for array in wanted]


@pytest.mark.parametrize("row", ROWS)
def test_a_gradient_that_would_be_rounded_is_refused(row: Any) -> None:
    inputs = drawn("update_sgd", row.a, (5,), ())
    inputs[1] = inputs[1].astype(np.float64 if row.a == "fp32" else np.int32)
    with pytest.raises(PlanError, match="gradient must be"):
        run(row, "update_sgd", inputs, True)


@pytest.mark.parametrize("op", HYPER)
@pytest.mark.parametrize("row", ROWS)
def test_factor_and_clip(row: Any, op: str) -> None:
    """The gradient is scaled, then clamped; a factor of 0 changes nothing, whatever the gradient."""
    inputs = drawn(op, row.a, (77,), ("middle*",), clip=0.3)
    inputs[3] = np.array([0.25])
    check(row, op, inputs)
    inputs[3], inputs[1] = np.array([0.0]), np.full_like(inputs[1], np.nan)
    for in_place in (True, False):
        found = run(row, op, inputs, in_place)
        for new, old in zip(found, [array for array in (inputs[0], *inputs[4:]) if array is not None], strict=False):
            np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(("op", "absent", "attributes"), SETTINGS)
@pytest.mark.parametrize("row", ROWS)
def test_gradients_given_as_products(row: Any, op: str, absent: tuple[str, ...], attributes: dict[str, int]) -> None:
    """A sum of k products is rounded k times more than the gradient itself: few, of numbers near 1."""
    for (m, n), k in (((7, 5), 1), ((3, 130), 4), ((40, 1), 2)):
        inputs = drawn(op, row.a, (m, n), absent)
        if op == "update_rmsprop" and inputs[6] is not None:
            inputs[6] = np.asarray(inputs[6] / 8, inputs[6].dtype)
        left, right = (np.asarray(RNG.uniform(-1, 1, shape) / k, inputs[0].dtype) for shape in ((k, m), (k, n)))
        check(row, op, product := [inputs[0], left.T, *inputs[2:], right], **attributes)
    if op == "update_sgd":  # the left factor transposed
        plain = run(row, op, product, False, **attributes)
        native.run_kernel(row.name, op, product, found := [np.zeros_like(array) for array in plain], attributes)
        assert all(map(np.array_equal, found, plain))


@pytest.mark.parametrize("row", ROWS)
def test_one_dense_layout(row: Any) -> None:
    """Any order of axes, as long as all have the same."""
    inputs = drawn("update_sgd", row.a, (4, 6, 3, 3), ())
    plain = run(row, "update_sgd", inputs, True)
    turned = [placed(array, "channels_last") if array is not None and array.ndim == 4 else array for array in inputs]
    outputs = [placed(np.zeros_like(inputs[0]), "channels_last") for _ in range(2)]
    native.run_kernel(row.name, "update_sgd", turned, outputs, {})
    for found, wanted in zip(outputs, plain, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(PlanError, match="one dense layout"):
        native.run_kernel(row.name, "update_sgd", [turned[0], *inputs[1:]], outputs, {})
