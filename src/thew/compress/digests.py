"""What answers and observations are known by: digests of what a graph computes and of the numbers that it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from thew import __version__
from thew.ir import Graph
from thew.ir.graph import Array
from thew.ir.text import print_graph


def digest_of(arrays: Iterable[Array]) -> str:
    """Of arrays in order."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def model_key(graph: Graph) -> str:
    """What a graph computes: its nodes, and the numbers in it; another version of Thew may compute it otherwise."""
    text = hashlib.blake2b(print_graph(graph).encode(), digest_size=16).hexdigest()
    return f"{__version__}+{text}+{digest_of(graph.constants.values())}"
