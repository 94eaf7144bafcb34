"""Steps that are calls of the caller's code: the two halves of sums over processes, and progress in between.

A call is handed the tensor where it lies in the arena, and changes it in place. MPI moves data only while it is called:
between the halves of a sum it is called behind every step that takes long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from thew.ir import Node
from thew.ops import Call
from thew.ops.collective import BEGIN, END
from thew.plan.rows import KernelRow
from thew.plan.target import Needs

if TYPE_CHECKING:
    from thew.plan.builder import Builder, Draft, Located

CALL = "call"  # what stands where other steps have the name of a row
PROGRESS = "all_reduce_progress"
_LONG_FLOPS = 10**7  # some 100 µs; a call of MPI that moves nothing takes 1


def lower_collective(builder: Builder, node: Node, call: Call) -> None:
    """A half of a sum over processes: a call on the value in place, or on a copy where it is not the plan's own."""
    located = builder.source(node)
    if builder.buffers[located.buffer].place != "arena":
        own = builder.fresh(located.dtype, located.shape, "plain")
        builder.copy(located, own, node.name)
        located = own
    builder.drafts.append(_draft(node.op, f"{node.op}:{call.attribute('slot')}", (located,)))
    builder.located[node.outputs[0]] = located


def add_progress(builder: Builder) -> None:
    """Puts a call behind every long step between the halves of a sum."""
    drafts, pending = [], 0
    for draft in builder.drafts:
        drafts.append(draft)
        pending += (draft.op == BEGIN) - (draft.op == END)
        if pending and draft.flops >= _LONG_FLOPS:
            drafts.append(_draft(PROGRESS, PROGRESS, ()))
    builder.drafts[:] = drafts


def _draft(op: str, name: str, operands: tuple[Located, ...]) -> Draft:
    from thew.plan.builder import Draft

    dtype = operands[0].dtype if operands else ""
    row = KernelRow(CALL, CALL, CALL, dtype, dtype, dtype, 0, 0, 0, "")
    # Handed over to be changed: it is read and written.
    return Draft(row, op, name, operands, operands, {}, 0, Needs(0, 0, ()))
