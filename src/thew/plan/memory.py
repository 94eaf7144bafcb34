"""Where buffers lie in the arena: in-place merging, liveness, and best-fit offsets.

The offsets are found greedily, largest buffer first, each at the lowest gap that no buffer alive at the same time
occupies (the "greedy by size" scheme of Pisarchyk and Lee, 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Use:
    """What one step does with buffers: those it reads and writes, and pairs (read, written) that may be one buffer."""

    reads: tuple[int, ...]
    writes: tuple[int, ...]
    in_place: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """Offset of each arena buffer, and the bytes of the arena."""

    offsets: dict[int, int]
    arena_bytes: int


def _lifetimes(uses: Sequence[Use]) -> dict[int, tuple[int, int]]:
    lives: dict[int, tuple[int, int]] = {}
    for time, use in enumerate(uses):
        for buffer in (*use.reads, *use.writes):
            first, _ = lives.get(buffer, (time, time))
            lives[buffer] = (first, time)
    return lives


def _merge_in_place(uses: Sequence[Use], lives: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Maps each buffer that takes over another's memory to that buffer; `lives` then tells of the merged ones."""
    home: dict[int, int] = {}

    def root(buffer: int) -> int:
        while buffer in home:
            buffer = home[buffer]
        return buffer

    for time, use in enumerate(uses):
        for read, written in use.in_place:
            source = root(read)
            if written in home or written == source or written not in lives or source not in lives:
                continue
            if lives[source][1] == time and lives[written][0] == time:
                home[written] = source
                lives[source] = (lives[source][0], lives[written][1])
                del lives[written]
                break
    return {buffer: root(buffer) for buffer in home}


def assign_offsets(uses: Sequence[Use], sizes: dict[int, int], share: bool = True) -> Layout:
    """Places the buffers of `sizes` (bytes by index; others, such as externals, are left alone) in one arena.

    Without `share` every buffer has bytes of its own, for as long as the plan runs.
    """
    arena_uses = [
        Use(
            tuple(buffer for buffer in use.reads if buffer in sizes),
            tuple(buffer for buffer in use.writes if buffer in sizes),
            tuple((a, b) for a, b in use.in_place if a in sizes and b in sizes and sizes[a] >= sizes[b]),
        )
        for use in uses
    ]
    lives = _lifetimes(arena_uses)
    merged = _merge_in_place(arena_uses, lives) if share else {}
    if not share:
        lives = dict.fromkeys(lives, (0, len(uses)))
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    offsets: dict[int, int] = {}
    arena_bytes = 0
    for buffer in sorted(lives, key=lambda index: (-sizes[index], index)):
        first, last = lives[buffer]
        size = -(-sizes[buffer] // ALIGNMENT) * ALIGNMENT
        taken = sorted((start, end) for start, end, begin, finish in placed if begin <= last and first <= finish)
        best, best_gap, cursor = -1, -1, 0
        for start, end in taken:
            gap = start - cursor
            if gap >= size and (best < 0 or gap < best_gap):
                best, best_gap = cursor, gap
            cursor = max(cursor, end)
        offset = best if best >= 0 else cursor
        placed.append((offset, offset + size, first, last))
        offsets[buffer] = offset
        arena_bytes = max(arena_bytes, offset + size)
    offsets.update({buffer: offsets[home] for buffer, home in merged.items()})
    return Layout(offsets, arena_bytes)
