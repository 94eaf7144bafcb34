"""`fuse_strips`: chains of steps that run depth first, a strip of rows at a time, as one step.

Such a chain is linear: each step reads only what the one before it wrote, and nobody else does. Where it pays (what
lies between the steps would not stay in the second-level cache) the device says by accepting the step or refusing it;
longest chains are asked first. `native/kernels/strips.cpp` runs them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from thew.errors import PlanError
from thew.plan.blocking import APART
from thew.plan.builder import Builder, Draft

KERNEL = "strips"  # what stands where other steps have the name of a row
_WINDOWED = ("depthwise", "pool")  # cheap for the bytes they touch: what is read for them alone is the loss
_MOST_STAGES = 3


def fuse_strips(builder: Builder) -> None:
    """Replaces chains among the builder's drafts where the device finds that it pays."""
    following = _following(builder)
    taken: set[int] = set()
    fused: dict[int, Draft] = {}  # by the position of the last stage
    for start in range(len(builder.drafts)):
        for chain in _chains(builder, start, following):
            if taken.isdisjoint(chain) and (draft := _fused(builder, [builder.drafts[i] for i in chain])):
                taken.update(chain)
                fused[chain[-1]] = draft
                break
    builder.drafts[:] = [fused.get(i, draft) for i, draft in enumerate(builder.drafts) if i in fused or i not in taken]


def _following(builder: Builder) -> dict[int, int]:
    """For each draft that hands its output to one other and to nobody else, that other."""
    written = Counter(view.buffer for draft in builder.drafts for view in draft.outputs)
    readers: dict[int, list[int]] = {}
    for i, draft in enumerate(builder.drafts):
        for view in draft.inputs:
            if view is not None:
                readers.setdefault(view.buffer, []).append(i)
    following = {}
    for i, draft in enumerate(builder.drafts):
        if len(draft.outputs) != 1 or not _may_be_stage(draft):
            continue
        (output,) = draft.outputs
        reading = readers.get(output.buffer, [])
        private = builder.buffers[output.buffer].place == "arena" and written[output.buffer] == 1 == len(reading)
        if not private or reading[0] <= i:
            continue
        after = builder.drafts[reading[0]]
        if after.inputs[0] == output and APART not in after.attributes:
            following[i] = reading[0]
    return following


def _may_be_stage(draft: Draft) -> bool:
    return draft.row.family in ("conv", *_WINDOWED) and all(len(view.shape) == 4 for view in draft.outputs)


def _chains(builder: Builder, start: int, following: dict[int, int]) -> Iterator[list[int]]:
    """Chains from a draft, longest first: one windowed step with the step before it, the one after it, or both."""
    chain = [start]
    while len(chain) < _MOST_STAGES and (after := following.get(chain[-1])) is not None:
        windowed = [builder.drafts[i].row.family in _WINDOWED for i in (*chain, after)]
        if not _may_be_stage(builder.drafts[after]) or sum(windowed) != 1 or not any(windowed[-2:]):
            break
        chain.append(after)
    for length in range(len(chain), 1, -1):
        yield chain[:length]


def _fused(builder: Builder, stages: list[Draft]) -> Draft | None:
    first, last = stages[0], stages[-1]
    draft = Draft(
        row=replace(last.row, name=KERNEL, family=KERNEL, algorithm=KERNEL),
        op=KERNEL,
        name=" → ".join(stage.name for stage in stages),
        inputs=(first.inputs[0], *(view for stage in stages for view in stage.inputs[1:])),
        outputs=last.outputs,
        attributes=_execution(stages),
        flops=sum(stage.flops for stage in stages),
        needs=last.needs,
        stages=tuple(stages),
    )
    try:
        return replace(draft, needs=builder.target.needs(builder.as_step(draft)))
    except PlanError:
        return None


def _execution(stages: list[Draft]) -> dict[str, Any]:
    """How the whole runs: on the threads of the stage that has most, with the blocking of the last one."""
    first, last = stages[0].attributes, stages[-1].attributes
    found = {name: first[name] for name in ("caches", "sharing") if name in first}
    if "blocking" in last:
        found["blocking"] = last["blocking"]
    if all("threads" in stage.attributes for stage in stages):
        found["threads"] = max(stage.attributes["threads"] for stage in stages)
    return found
