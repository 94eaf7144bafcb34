"""What a step of several processes adds to the graph: gradients summed over all, in buckets, while others are computed.

A bucket is the gradients that the backward pass gives one after the other, side by side in one tensor (the planner
lets their kernels write there). Its sum begins as soon as it is full and is waited for where the updates are, so that
the network moves the last layers' gradients while the first layers' are computed (Li et al. 2020). In 16 bits, where
that is asked for, half as many bytes move; what is summed is then the gradient's share, whose scale is the mean's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from thew.autodiff import Extension
from thew.dtypes import size_bytes
from thew.ir import Graph, Node
from thew.ops.collective import BEGIN, END
from thew.passes.synchronise_batch_norm import synchronise_batch_norm


@dataclass(frozen=True)
class Exchange:
    """How the processes of a job train one model.

    Attributes:
        ranks: how many there are.
        bucket_bytes: a sum begins when as many bytes of gradients are there.
        compression: dtype in which gradients travel, "fp16" or "bf16"; their own where empty.
        sync_batch_norm: whether batch norms take the statistics of all processes' samples.
        overlaps: whether other steps run between the halves of a sum.
    """

    ranks: int
    bucket_bytes: int = 4 << 20
    compression: str = ""
    sync_batch_norm: bool = True
    overlaps: bool = True

    def prepare(self, forward: Graph) -> Graph:
        """The forward graph of one process among several."""
        return synchronise_batch_norm(forward, self.ranks) if self.sync_batch_norm else forward

    def buckets(self, extension: Extension, gradients: Sequence[str]) -> list[list[str]]:
        """Gradients in the order in which they are made, cut into buckets."""
        made = {name: index for index, node in enumerate(extension.nodes) for name in node.outputs}
        found: list[list[str]] = []
        room = 0
        for name in sorted(dict.fromkeys(gradients), key=lambda name: made.get(name, -1)):
            if room <= 0:
                found.append([])
                room = self.bucket_bytes
            found[-1].append(name)
            known = extension.type_of(name)
            room -= prod(known.static_shape) * size_bytes(known.dtype)
        return found


@dataclass(frozen=True)
class Sum:
    """One sum over all processes: the nodes up to its beginning, those from its end on, and what comes of each term."""

    begin: tuple[Node, ...]
    end: tuple[Node, ...]
    totals: Mapping[str, str]


def summed(extension: Extension, terms: Sequence[str], slot: int, compression: str = "") -> Sum:
    """The nodes that sum values of one dtype as one tensor; they are taken out of the extension, to be placed."""
    first = len(extension.nodes)
    types = [extension.type_of(name) for name in terms]
    sizes = [prod(known.static_shape) for known in types]

    def one(op: str, *inputs: str, **attributes: int | str) -> str:
        return extension.emit(op, inputs, 1, **attributes)[0]

    def shaped(name: str, shape: Sequence[int]) -> str:
        return one("reshape", name, extension.constant(np.array(shape, np.int64)), allowzero=1)

    flat = [shaped(name, (size,)) for name, size in zip(terms, sizes, strict=True)]
    whole = one("concat", *flat, axis=0) if len(flat) > 1 else flat[0]
    begun = one(BEGIN, one("cast", whole, to=compression) if compression else whole, slot=slot)
    middle = len(extension.nodes)
    total = one(END, begun, slot=slot)
    if compression:
        total = one("cast", total, to=types[0].dtype)
    parts: Sequence[str] = [total]
    if len(flat) > 1:
        sizes_of = extension.constant(np.array(sizes, np.int64))
        parts = extension.emit("split", (total, sizes_of), len(sizes), axis=0)
    shapes = (known.static_shape for known in types)
    totals = {name: shaped(part, shape) for name, part, shape in zip(terms, parts, shapes, strict=True)}
    nodes = tuple(extension.nodes[first:])
    del extension.nodes[first:]
    return Sum(nodes[: middle - first], nodes[middle - first :], totals)
