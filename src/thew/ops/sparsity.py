"""How the zeros of constant weights lie, and what a product that leaves them out takes.

Two structures have kernels (native/kernels/gemv): blocks of one input by `BLOCK` outputs that are all zero, and at most
two of every four inputs of an output that are not (Mishra et al., "Accelerating sparse deep neural networks", 2021).
Other zeros cost as much as any weight.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from math import prod

import numpy as np

from thew.ir.graph import Array
from thew.ops.opdef import Call, Work

BLOCK, CHOICES = 16, 4  # outputs of a block; inputs among which two are chosen
_FEWEST_WEIGHTS = 1 << 12  # below, no time is to be gained
_SAMPLE = 64  # inputs that are looked at first: most weights are dense, and large
_DENSEST = 0.75  # share of weights that are not zero, above which no structure is looked for
BLOCKS, STRUCTURED = "blocks", "structured"


@dataclass(frozen=True, slots=True)
class Sparsity:
    """What of a matrix (inputs by outputs) is kept: the share of its blocks, and how many of every four inputs."""

    blocks: float = 1.0
    of_four: int = CHOICES


DENSE = Sparsity()
_KNOWN: dict[int, tuple[weakref.ref[Array], Sparsity]] = {}  # by the array's identity, while it lives


def sparsity_of(weight: Array) -> Sparsity:
    """The structure of constant weights: a matrix, inputs by outputs, or a convolution's, whose outputs come first."""
    known = _KNOWN.get(id(weight))
    if known is not None and known[0]() is weight:
        return known[1]
    found = _found(weight.reshape(weight.shape[0], -1).T if weight.ndim > 2 else weight)
    key = id(weight)
    _KNOWN[key] = (weakref.ref(weight, lambda _: _KNOWN.pop(key, None)), found)
    return found


def _found(matrix: Array) -> Sparsity:
    inputs, outputs = matrix.shape
    sample = matrix[:_SAMPLE]
    if matrix.size < _FEWEST_WEIGHTS or np.count_nonzero(sample) > _DENSEST * sample.size:
        return DENSE
    kept = np.pad(matrix != 0, ((0, -inputs % CHOICES), (0, -outputs % BLOCK)))
    blocks = np.asarray(kept.reshape(kept.shape[0], -1, BLOCK).any(axis=2))
    of_four = kept.reshape(-1, CHOICES, kept.shape[1]).sum(axis=1).max()
    return Sparsity(float(blocks[:inputs].mean()), int(of_four))


def is_sparse(call: Call, structure: str) -> bool:
    """Whether a product's constant weights have a structure."""
    weight = call.value(1)
    if weight is None or weight.dtype != np.float32:
        return False
    found = sparsity_of(weight)
    return found.blocks <= _DENSEST if structure == BLOCKS else found.of_four <= CHOICES // 2


def sparse_work(call: Call, structure: str, rows: int, passed_bytes: int) -> Work:
    """What the product takes without the zeros.

    Args:
        call: of the product.
        structure: that its weights have.
        rows: of the product.
        passed_bytes: of all inputs and outputs but the weights.
    """
    weight = call.value(1)
    assert weight is not None
    found, size = sparsity_of(weight), prod(weight.shape)
    if structure == BLOCKS:
        kept, index_bytes = round(found.blocks * size), 4 / BLOCK
        multiply_adds = kept * rows
    else:  # a shuffle goes with each multiply-add, a load and a shift with each weight
        kept, index_bytes = size * max(found.of_four, 1) // CHOICES, 1 / 4
        multiply_adds = kept * (2 * rows + 2)
    held = round(kept * (4 + index_bytes))
    columns = weight.shape[0 if weight.ndim > 2 else 1]
    return Work(multiply_adds, columns, passed_bytes=passed_bytes + held)
