"""The arena: no two buffers alive at once overlap, and it is no larger than a simple bound."""

from hypothesis import given
from hypothesis import strategies as st

from thew.plan.memory import ALIGNMENT, Use, assign_offsets


@st.composite
def programs(draw):
    """Random straight-line programs: each step reads earlier buffers and writes a new one."""
    count = draw(st.integers(1, 14))
    sizes = {index: draw(st.integers(0, 400)) for index in range(count)}
    uses = []
    for index in range(count):
        reads = draw(st.lists(st.integers(0, index - 1), max_size=3)) if index else []
        in_place = tuple((read, index) for read in reads[:1] if draw(st.booleans()))
        uses.append(Use(tuple(reads), (index,), in_place))
    return uses, sizes


def lifetime(uses, buffer):
    times = [time for time, use in enumerate(uses) if buffer in use.reads or buffer in use.writes]
    return times[0], times[-1]


@given(programs())
def test_buffers_that_live_together_do_not_overlap(program):
    uses, sizes = program
    layout = assign_offsets(uses, sizes)
    for a in sizes:
        assert layout.offsets[a] % ALIGNMENT == 0
        assert layout.offsets[a] + sizes[a] <= layout.arena_bytes
        for b in sizes:
            if a >= b or sizes[a] == 0 or sizes[b] == 0:
                continue
            apart = (
                layout.offsets[a] + sizes[a] <= layout.offsets[b] or layout.offsets[b] + sizes[b] <= layout.offsets[a]
            )
            (first_a, last_a), (first_b, last_b) = lifetime(uses, a), lifetime(uses, b)
            if apart or last_a < first_b or last_b < first_a:
                continue
            # Overlap in time and space: legal only for a buffer that took over the other's in the step they share.
            step = max(first_a, first_b)
            assert step == min(last_a, last_b)
            assert (a, b) in uses[step].in_place
            assert layout.offsets[a] == layout.offsets[b]


@given(programs())
def test_arena_is_at_most_the_sum(program):
    uses, sizes = program
    assert assign_offsets(uses, sizes).arena_bytes <= sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes.values())


def test_chain_needs_two_buffers():
    uses = [Use((), (0,))] + [Use((index,), (index + 1,)) for index in range(9)]
    assert assign_offsets(uses, dict.fromkeys(range(10), 640)).arena_bytes == 2 * 640


def test_chain_in_place_needs_one():
    uses = [Use((), (0,))] + [Use((index,), (index + 1,), ((index, index + 1),)) for index in range(9)]
    assert assign_offsets(uses, dict.fromkeys(range(10), 640)).arena_bytes == 640


def test_in_place_is_refused_while_the_input_is_read_later():
    uses = [Use((), (0,)), Use((0,), (1,), ((0, 1),)), Use((0, 1), (2,))]
    layout = assign_offsets(uses, {0: 64, 1: 64, 2: 64})
    assert layout.offsets[0] != layout.offsets[1]
