"""The choice over the whole graph is the best of all that can be forced, by its own estimates."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from thew.errors import PlanError
from thew.ir import GraphBuilder
from thew.ops import Work, get
from thew.passes.specialise import specialise
from thew.plan import BUILT_IN, Choice, KernelRow, Needs, NoKernel, Target, build_plan, key_of, survey
from thew.plan.alternatives import alternatives_of

ROWS = tuple(
    KernelRow(f"{family}_{algorithm}_fp32_{isa}", family, algorithm, "fp32", "fp32", "fp32", 0, 0, 0, isa)
    for isa in ("avx512", "avx2")
    for family, algorithm in (
        ("conv", "pointwise"),
        ("conv", "implicit"),
        ("pool", "direct"),
        ("unary", "strided"),
        ("binary", "strided"),
        ("move", "strided"),
    )
)


def target(refuse=lambda step: False, costs=BUILT_IN):
    def needs(step):
        if refuse(step):
            raise PlanError("refused")
        return Needs(0, 0, ())

    return Target("board", ("avx512", "avx2"), 1, ROWS, needs, costs)


def graph_of(write, shape=(1, 16, 12, 12)):
    b = GraphBuilder("g")
    graph = b.graph([write(b, b.input("x", "fp32", shape))])
    return specialise(graph, {value.name: value.type for value in graph.inputs})


def conv(b, x, name, window=1):
    weight = b.constant(np.ones((16, 16, window, window), np.float32))
    return b.node("conv", [x, weight], name, pads=(window // 2,) * 4)


GRAPHS = {
    "chain of elementwise": lambda b, x: b.node("exp", [b.node("neg", [b.node("relu", [x], "a")], "b")], "c"),
    "conv and relu": lambda b, x: b.node("relu", [conv(b, b.node("neg", [x], "a"), "b")], "c"),
    "residual": lambda b, x: b.node(
        "add", [conv(b, first := b.node("relu", [conv(b, x, "a")], "b"), "c", 3), first], "d"
    ),
    "two branches": lambda b, x: b.node(
        "mul", [b.node("exp", [first := conv(b, x, "a")], "b"), b.node("neg", [b.node("exp", [first], "c")], "d")], "e"
    ),
    "transposed": lambda b, x: conv(b, b.node("neg", [b.node("transpose", [x], "a", perm=(0, 3, 1, 2))], "b"), "c"),
}
SHAPES = {"transposed": (1, 12, 12, 16)}


def total(graph, plan, board):
    by_choice = {
        key_of(node): {a.choice: a.cost.seconds for a in alternatives_of(graph, board, node)} for node in graph.nodes
    }
    kernels = sum(by_choice[key][choice] for key, choice in plan.choices.items())
    copies = (step for step in plan.steps if step.op == "copy")
    return kernels + sum(board.costs.copy_seconds(step.outputs[0].shape, "fp32", 1) for step in copies)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_forced_layouts_are_better(name):
    graph, board = graph_of(GRAPHS[name], SHAPES.get(name, (1, 16, 12, 12))), target()
    chosen = total(graph, build_plan(graph, board), board)
    free = [
        key_of(node) for node in graph.nodes if get(node.op).candidates[0].layout == "any" and node.op != "transpose"
    ]
    forced = []
    for layouts in product(("plain", "channels_last"), repeat=len(free)):
        choices = {key: Choice(layout=layout) for key, layout in zip(free, layouts, strict=True)}
        forced.append(total(graph, build_plan(graph, board, choices=choices), board))
    assert chosen == pytest.approx(min(forced))
    assert max(forced) > min(forced) or name == "conv and relu"  # converts before or after, at one price


def test_the_cheapest_row_and_algorithm_win():
    graph = graph_of(GRAPHS["conv and relu"])
    assert build_plan(graph, target()).choices["b"].row == "conv_pointwise_fp32_avx512"
    slow = replace(BUILT_IN, efficiencies={"conv.pointwise/fp32/avx512": 0.01, "conv.pointwise/fp32/avx2": 0.01})
    assert build_plan(graph, target(costs=slow)).choices["b"].row == "conv_implicit_fp32_avx512"


def test_a_candidate_s_own_work_counts(monkeypatch):
    """Fewer multiply-adds win, more moved bytes lose: that is how an algorithm enters."""
    graph = graph_of(GRAPHS["conv and relu"])
    op = get("conv")
    implicit = next(candidate for candidate in op.candidates if candidate.algorithm == "implicit")
    others = tuple(candidate for candidate in op.candidates if candidate is not implicit)
    for work, winner in ((Work(1000), "implicit"), (Work(1000, moved_bytes=1 << 30), "pointwise")):
        candidates = (*others, replace(implicit, work=lambda call, work=work: work))
        monkeypatch.setattr("thew.plan.alternatives.find", lambda name, c=candidates: (
            replace(op, candidates=c) if name == "conv" else get(name)
        ))  # fmt: skip
        assert build_plan(graph, target()).choices["b"].algorithm == f"conv.{winner}"


def test_what_is_not_taken_by_default_is_there_to_be_chosen(monkeypatch):
    graph = graph_of(GRAPHS["conv and relu"])
    op = get("conv")
    changed = replace(
        op,
        candidates=tuple(
            replace(candidate, by_default=lambda call: False) if candidate.algorithm == "pointwise" else candidate
            for candidate in op.candidates
        ),
    )
    monkeypatch.setattr("thew.plan.alternatives.find", lambda name: changed if name == "conv" else get(name))
    assert build_plan(graph, target()).choices["b"].algorithm == "conv.implicit"
    assert survey(graph, target())["b"][0].choice.algorithm == "conv.pointwise"
    forced = build_plan(graph, target(), choices={"b": Choice("conv.pointwise")})
    assert forced.choices["b"].algorithm == "conv.pointwise"


def test_what_kernels_refuse_is_not_chosen():
    graph = graph_of(GRAPHS["residual"])
    board = target(refuse=lambda step: step.kernel.startswith("conv_pointwise"))
    assert build_plan(graph, board).choices["a"].algorithm == "conv.implicit"
    plain_only = target(refuse=lambda step: step.op == "relu" and step.outputs[0].strides[1] == 1)
    assert build_plan(graph, plain_only).choices["b"].layout == "plain"
    with pytest.raises(NoKernel, match="refused"):
        build_plan(graph, target(refuse=lambda step: step.op == "relu"))
    with pytest.raises(PlanError, match="choice must be"):
        build_plan(graph, board, choices={"a": Choice("conv.pointwise")})


def test_a_survey_lists_what_is_legal_and_can_be_forced():
    graph = graph_of(GRAPHS["residual"])
    board = target(refuse=lambda step: step.kernel == "conv_pointwise_fp32_avx2")
    ways = survey(graph, board)
    assert [way.choice.row for way in ways["a"]] == [
        "conv_pointwise_fp32_avx512",
        "conv_implicit_fp32_avx512",
        "conv_implicit_fp32_avx2",
    ]
    assert {way.choice.layout for way in ways["b"]} == {"plain", "channels_last"}
    for key, found in ways.items():
        for way in found:
            assert build_plan(graph, board, choices={key: way.choice}).choices[key] == way.choice


def test_parts_cost_a_step_each():
    """Groups of channels are packed and written apart: many small ones are no work for a wide tile."""
    row = next(row for row in ROWS if row.algorithm == "implicit")
    one, many = (BUILT_IN.step_cost(Work(1000, parts=parts), row, 0, 1).seconds for parts in (1, 384))
    assert many - one == pytest.approx(383 * BUILT_IN.step_seconds)


@pytest.mark.parametrize(("columns", "depth", "grows"), [(32, 32, 1), (1, 32, 32), (64, 9, 32 / 9), (33, 64, 64 / 33)])
def test_tiles_that_stay_empty_cost_what_full_ones_do(columns, depth, grows):
    """AMX, products of bf16: 32 columns of sums, and 32 elements of a row summed at a time."""
    row = KernelRow("conv_implicit_bf16_amx", "conv", "implicit", "bf16", "bf16", "fp32", 32, 32, 32, "amx")
    full = BUILT_IN.step_cost(Work(1 << 20), row, 0, 1).compute_seconds
    assert BUILT_IN.step_cost(Work(1 << 20, columns, depth=depth), row, 0, 1).compute_seconds == pytest.approx(
        full * grows
    )
