"""Sparse weights in patterns: N of every M along the inputs, or whole blocks; what is least in magnitude becomes 0.

The shape of the network stays; dense layers and 1×1 convolutions leave the zeros out where that is estimated to be
faster (`thew.ops.sparsity`): blocks, and patterns of at most two of four. N:M is the pattern of Mishra et al.,
"Accelerating sparse deep neural networks", 2021.
"""

from __future__ import annotations

import re

import numpy as np

from thew.errors import InputError
from thew.ir import Graph
from thew.ir.graph import Array, as_constant
from thew.ops import sparsity
from thew.passes.quantisable import Layer

BLOCK = (sparsity.BLOCK, 1)  # output by input channels: what a kernel can leave out


def pattern_of(structure: str) -> tuple[int, int] | None:
    """(n, m) of a pattern such as "2:4"; None for "block". Raises InputError."""
    found = re.fullmatch(r"(\d+):(\d+)", structure)
    if found is not None and 0 < int(found[1]) < int(found[2]) <= 64:
        return int(found[1]), int(found[2])
    if structure != "block":
        raise InputError(f'structure: must be "channels", "block" or n:m such as "2:4", got {structure!r}')
    return None


def masked(graph: Graph, layers: dict[str, Layer], structure: str, ratio: float) -> tuple[Graph, dict[str, Array]]:
    """The graph with zeros in a pattern, and the masks (True: stays) by constant.

    Args:
        graph: from `quantisable.prepare` or any with the same layers.
        layers: whose weights are masked; depthwise ones, with few inputs, are left alone.
        structure: "block" or n:m (n of m stay).
        ratio: share of blocks that become 0.
    """
    pattern, masks, constants = pattern_of(structure), {}, dict(graph.constants)
    for layer in layers.values():
        if not layer.weight or layer.weight in masks:
            continue
        weight = graph.constants[layer.weight]
        rows = np.moveaxis(weight, layer.axis, 0)  # (oc, inputs, …): the pattern runs along inputs
        if rows.shape[1] < (pattern[1] if pattern else BLOCK[1]):
            continue
        mask = _n_of_m(rows, *pattern) if pattern else _blocks(rows, ratio)
        masks[layer.weight] = np.ascontiguousarray(np.moveaxis(mask, 0, layer.axis))
        constants[layer.weight] = as_constant(weight * masks[layer.weight])
    return graph.replace(constants=constants), masks


def _n_of_m(rows: Array, n: int, m: int) -> Array:
    """The n largest of every m inputs stay; inputs that are over at the end all stay."""
    whole = rows.shape[1] // m * m
    groups = np.abs(rows[:, :whole]).reshape(rows.shape[0], whole // m, m, *rows.shape[2:])
    rank = np.argsort(np.argsort(-groups, axis=2, kind="stable"), axis=2, kind="stable")
    mask = np.ones(rows.shape, bool)
    mask[:, :whole] = (rank < n).reshape(rows.shape[0], whole, *rows.shape[2:])
    return mask


def _blocks(rows: Array, ratio: float) -> Array:
    """The blocks of least sums of squares go, at every place of the kernel apart."""
    high, wide = BLOCK
    pads = [(0, -rows.shape[0] % high), (0, -rows.shape[1] % wide), *[(0, 0)] * (rows.ndim - 2)]
    padded = np.pad(np.square(rows, dtype=np.float64), pads)
    shape = (padded.shape[0] // high, high, padded.shape[1] // wide, wide, *rows.shape[2:])
    energy = padded.reshape(shape).sum(axis=(1, 3))
    gone = int(ratio * energy.size)
    stays = np.ones(energy.size, bool)
    stays[np.argsort(energy.reshape(-1), kind="stable")[:gone]] = False
    wide_mask = np.repeat(np.repeat(stays.reshape(energy.shape), high, axis=0), wide, axis=1)
    return np.asarray(wide_mask[: rows.shape[0], : rows.shape[1]])
