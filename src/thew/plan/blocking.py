"""How a node's kernel runs beside what it is: by how many threads, and with which blocking of its loops.

Kernels cut their loops to the caches by a model (Low et al. 2016). A blocking says what differs from it, in numbers
that a step carries: the depth of blocks and what is counted on of the second-level cache (rows of a block, tiles of
Winograd's, rows of a strip) in percent, and how many tiles each of several threads gets. Few steps gain from another
blocking than the model's: `thew.search` tries those that may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from thew.ops import Work
from thew.plan.cost import Cost, Costs
from thew.plan.rows import KernelRow

FITTED, APART = "fitted", "apart"
BLOCKINGS: Mapping[str, tuple[int, int, int]] = {  # depth and near part in percent, tiles a worker
    FITTED: (100, 100, 4),
    "shallow": (50, 100, 4),
    "deep": (200, 100, 4),
    "low": (100, 50, 4),
    "high": (100, 200, 4),
    "coarse": (100, 100, 1),
    "fine": (100, 100, 12),
    APART: (100, 100, 4),  # and in no strip with the step before
}
_BLOCKED = ("conv", "matmul", "winograd", "integer")  # families whose loops are cut to the caches
_IN_DEPTH = ("conv", "matmul")  # those that cut the extent that is summed over, too
_DEEP = 320  # of the extent that is summed over: below, it is one block in any case
_FAR = 0.5  # of the second level: less stays near with any blocking


def thread_counts(threads: int) -> tuple[int, ...]:
    """How many threads of a plan's a step may have: all, and halves of them down to one."""
    counts = [threads]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return tuple(counts)


def blockings_for(row: KernelRow, work: Work, passed_bytes: int, threads: int, costs: Costs) -> Iterator[str]:
    """The blockings that may make a difference to a step, beside the fitted one."""
    if row.family not in _BLOCKED:
        return
    if row.family in _IN_DEPTH and work.depth > _DEEP:
        yield from ("shallow", "deep")
    second = costs.levels[min(1, len(costs.levels) - 1)][0]
    if max(passed_bytes, work.workspace_bytes) > _FAR * second > 0:
        yield from ("low", "high")
    if threads > 1:
        yield from ("coarse", "fine")


def on_best_threads(
    counts: tuple[int, ...], costs: Costs, work: Work, row: KernelRow, passed_bytes: int
) -> tuple[Cost, int]:
    """The estimate on the number of threads that is thought best, and that number; of equal ones the larger."""
    each = ((costs.step_cost(work, row, passed_bytes, count), count) for count in counts)
    return min(each, key=lambda one: one[0].seconds)
