"""Pipelines: which passes run, in which order, and a trace of what each one changed.

`LOAD` needs no shapes and runs once a model; `SPECIALISED` follows `specialise` and may read every static type.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from thew.dtypes import HALVES
from thew.ir import Graph
from thew.passes.check_nodes import check_nodes
from thew.passes.combine_integers import combine_integers
from thew.passes.compute_half_wide import compute_half_wide
from thew.passes.convolve_integers import convolve_integers
from thew.passes.eliminate_dead import eliminate_dead
from thew.passes.eliminate_no_ops import eliminate_no_ops
from thew.passes.fold_batch_norm import fold_batch_norm
from thew.passes.fold_constants import fold_constants
from thew.passes.fold_pads import fold_pads
from thew.passes.fuse_activation_grads import fuse_activation_grads
from thew.passes.fuse_epilogues import fuse_epilogues
from thew.passes.fuse_integer_sums import fuse_integer_sums
from thew.passes.fuse_updates import fuse_updates
from thew.passes.join_phases import join_phases
from thew.passes.lower_gemm import lower_gemm
from thew.passes.lower_moving_averages import lower_moving_averages
from thew.passes.lower_variadic import lower_variadic
from thew.passes.lower_volumes import lower_volumes
from thew.passes.move_integers import move_integers
from thew.passes.multiply_dequantised import multiply_dequantised
from thew.passes.multiply_few_pixels import multiply_few_pixels
from thew.passes.multiply_integers import multiply_integers
from thew.passes.narrow_gradients import narrow_gradients
from thew.passes.recognise_activations import recognise_activations
from thew.passes.reduce_precision import reduce_precision
from thew.passes.share import share
from thew.passes.simplify_reshapes import simplify_reshapes
from thew.passes.simplify_transposes import simplify_transposes
from thew.passes.tabulate import tabulate

Pass = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Change:
    """What one pass did to a graph, in numbers of nodes and constants."""

    name: str
    nodes_before: int
    nodes_after: int
    constants_before: int
    constants_after: int

    def __str__(self) -> str:
        return (
            f"{self.name}: nodes {self.nodes_before} → {self.nodes_after}, "
            f"constants {self.constants_before} → {self.constants_after}"
        )


_BOTH: tuple[Pass, ...] = (
    eliminate_no_ops,
    lower_variadic,
    lower_moving_averages,
    lower_gemm,
    recognise_activations,
    simplify_reshapes,
    simplify_transposes,
    eliminate_no_ops,
    fold_pads,
    share,
    fold_batch_norm,
    fuse_epilogues,
    eliminate_dead,
)
INTEGERS: tuple[Pass, ...] = (
    convolve_integers,
    multiply_integers,
    tabulate,  # before x·sigmoid(x) is taken for a product of two
    combine_integers,
    move_integers,
    tabulate,  # what concats bring into other steps
    multiply_dequantised,
)
WINDOWS: tuple[Pass, ...] = (  # behind the fusions, so that what is turned takes its epilogue along
    join_phases,
    lower_volumes,
    fold_constants,
    eliminate_no_ops,
    simplify_reshapes,
    simplify_transposes,
    eliminate_no_ops,
    eliminate_dead,
)
LOAD: tuple[Pass, ...] = (check_nodes, eliminate_dead, *INTEGERS, eliminate_dead, fold_constants, *_BOTH)
SPECIALISED: tuple[Pass, ...] = (
    eliminate_dead,
    multiply_few_pixels,
    *_BOTH,
    *WINDOWS,
    fuse_integer_sums,
    fuse_activation_grads,
    fuse_updates,
    compute_half_wide,
    narrow_gradients,
    eliminate_dead,
)
FUSIONS = frozenset({fuse_epilogues, fuse_integer_sums, fuse_activation_grads, fuse_updates})
FOLDINGS = frozenset({fold_batch_norm})


def limited(passes: Sequence[Pass], fusion: bool, folding: bool) -> tuple[Pass, ...]:
    """The passes without those that fuse several ops into one kernel, or that fold batch norms into weights."""
    banned = (frozenset() if fusion else FUSIONS) | (frozenset() if folding else FOLDINGS)
    return tuple(rewrite for rewrite in passes if rewrite not in banned)


def reducing(passes: Sequence[Pass], precision: str, kept: Collection[str] = ()) -> tuple[Pass, ...]:
    """The passes with `reduce_precision` before the pass that sees to what has no kernel in the reduced precision."""
    if precision not in HALVES:
        return tuple(passes)
    last = passes.index(compute_half_wide)
    return (*passes[:last], partial(reduce_precision, precision=precision, kept=kept), eliminate_dead, *passes[last:])


def run(graph: Graph, passes: Sequence[Pass], trace: list[Change] | None = None) -> Graph:
    """The graph after all passes, in order; `trace` receives one entry for each."""
    for rewrite in passes:
        after = rewrite(graph)
        if trace is not None:
            name = getattr(rewrite, "__name__", type(rewrite).__name__)
            trace.append(Change(name, len(graph.nodes), len(after.nodes), len(graph.constants), len(after.constants)))
        graph = after
    return graph
