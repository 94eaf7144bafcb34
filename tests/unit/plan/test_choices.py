"""Choices and options: forced ones are honoured, recorded and refused where they cannot be; techniques switch off."""

from dataclasses import replace

import numpy as np
import pytest

from thew.errors import InputError, PlanError
from thew.ir import GraphBuilder
from thew.passes.specialise import specialise
from thew.plan import Choice, KernelRow, Needs, Plan, PlanOptions, Target, build_plan
from thew.plan.choices import choice_from

ROWS = tuple(
    KernelRow(f"{family}_{algorithm}_fp32_{isa}", family, algorithm, "fp32", "fp32", "fp32", 0, 0, 0, isa)
    for isa in ("avx512", "avx2")
    for family, algorithm in (
        ("conv", "pointwise"),
        ("conv", "implicit"),
        ("unary", "strided"),
        ("binary", "strided"),
        ("move", "strided"),
    )
)
TARGET = Target("board", ("avx512", "avx2"), 1, ROWS, lambda step: Needs(0, 0, ()))


def two_convolutions():
    b = GraphBuilder("two")
    x = b.input("x", "fp32", (1, 8, 6, 6))
    w1 = b.constant(np.ones((8, 8, 1, 1), np.float32))
    w2 = b.constant(np.ones((8, 8, 3, 3), np.float32))
    middle = b.node("relu", [b.node("conv", [x, w1], "first")], "middle")
    graph = b.graph([b.node("conv", [middle, w2], "y", pads=(1, 1, 1, 1))])
    return specialise(graph, {value.name: value.type for value in graph.inputs})


def test_a_plan_records_every_choice():
    plan = build_plan(two_convolutions(), TARGET)
    assert plan.choices == {
        "first": Choice("conv.pointwise", "conv_pointwise_fp32_avx512", "channels_last", "fp32", 1, "fitted"),
        "middle": Choice("unary.strided", "unary_strided_fp32_avx512", "channels_last", "fp32", 1, "fitted"),
        "y": Choice("conv.implicit", "conv_implicit_fp32_avx512", "channels_last", "fp32", 1, "fitted"),
    }


@pytest.mark.parametrize(
    ("choice", "kernel"),
    [
        (Choice("conv.implicit"), "conv_implicit_fp32_avx512"),
        (Choice("conv.pointwise"), "conv_pointwise_fp32_avx512"),
        (Choice(row="conv_implicit_fp32_avx2"), "conv_implicit_fp32_avx2"),
        (Choice(precision="fp32", layout="channels_last"), "conv_pointwise_fp32_avx512"),
    ],
)
def test_a_choice_is_honoured(choice, kernel):
    plan = build_plan(two_convolutions(), TARGET, choices={"first": choice})
    assert plan.choices["first"].row == kernel
    assert kernel in [step.kernel for step in plan.steps if step.op == "conv"]
    assert plan.choices["y"].row == "conv_implicit_fp32_avx512"


def test_recorded_choices_reproduce_the_plan():
    plan = build_plan(two_convolutions(), TARGET, choices={"first": Choice(row="conv_implicit_fp32_avx2")})
    assert build_plan(two_convolutions(), TARGET, choices=plan.choices) == plan


def test_a_layout_is_forced_on_an_op_that_takes_any():
    plan = build_plan(two_convolutions(), TARGET, choices={"middle": Choice(layout="plain")})
    relu = next(step for step in plan.steps if step.op == "relu")
    assert relu.outputs[0].strides == (288, 36, 6, 1)
    assert plan.choices["middle"].layout == "plain"


@pytest.mark.parametrize(
    "choices",
    [
        {"nowhere": Choice("conv.implicit")},
        {"y": Choice("conv.pointwise")},  # a 3×3 window
        {"first": Choice("conv.winograd")},
        {"first": Choice(precision="fp16")},
        {"first": Choice(layout="plain")},
        {"first": Choice("conv.pointwise", "conv_implicit_fp32_avx512")},
        {"first": Choice(threads=2)},  # of a plan of one
        {"first": Choice(blocking="loose")},
    ],
)
def test_a_choice_that_cannot_be_is_refused(choices):
    with pytest.raises(PlanError, match="must"):
        build_plan(two_convolutions(), TARGET, choices=choices)


def test_each_node_has_threads_and_a_blocking_of_its_own():
    choices = {"first": Choice(threads=1), "y": Choice(threads=3, blocking="deep")}
    plan = build_plan(two_convolutions(), replace(TARGET, threads=4), choices=choices)
    how = {step.name: step.attributes for step in plan.steps if step.op == "conv"}
    first, last = how.values()
    assert (first["threads"], last["threads"], last["blocking"]) == (1, 3, (200, 100, 4))
    assert "blocking" not in first
    assert [plan.choices[key].threads for key in ("first", "y")] == [1, 3]
    everywhere = build_plan(two_convolutions(), replace(TARGET, threads=4), choices={"y": Choice(threads=4)})
    assert all("threads" not in step.attributes for step in everywhere.steps if "y" in step.name)


@pytest.mark.parametrize(("size", "threads"), [(4, 1), (64, 4)])
def test_by_default_a_small_layer_waits_for_nobody(size, threads):
    b = GraphBuilder("one")
    weight = b.constant(np.ones((16, 16, 3, 3), np.float32))
    x = b.input("x", "fp32", (1, 16, size, size))
    graph = b.graph([b.node("conv", [x, weight], "y", pads=(1, 1, 1, 1))])
    graph = specialise(graph, {value.name: value.type for value in graph.inputs})
    assert build_plan(graph, replace(TARGET, threads=4)).choices["y"].threads == threads


@pytest.mark.parametrize(
    "fields", [{"threads": -1}, {"threads": "2"}, {"threads": True}, {"row": 3}, {"colour": "red"}]
)
def test_what_is_no_choice_in_a_file_is_refused(fields):
    with pytest.raises(PlanError, match="must"):
        choice_from(fields)


def test_choices_and_options_are_saved(tmp_path):
    plan = build_plan(two_convolutions(), TARGET, PlanOptions.without(["fusion", "layouts"]))
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan


def test_without_layouts_values_lie_in_c_order():
    steps = build_plan(two_convolutions(), TARGET, PlanOptions(layouts=False)).steps
    assert all(step.inputs[0].strides == (288, 36, 6, 1) for step in steps if step.op == "relu")
    assert sum(step.op == "copy" for step in steps) > sum(
        step.op == "copy" for step in build_plan(two_convolutions(), TARGET).steps
    )


def test_without_fitted_blocking_every_step_says_so():
    steps = build_plan(two_convolutions(), TARGET, PlanOptions(fitted_blocking=False)).steps
    assert {step.attributes.get("caches") for step in steps if step.op != "copy"} == {"generic"}


def test_without_memory_planning_nothing_is_shared():
    shared, apart = (
        build_plan(two_convolutions(), TARGET, PlanOptions(memory_planning=planned)) for planned in (True, False)
    )
    places = [view.offset_bytes for step in apart.steps for view in step.outputs if view.place == "arena"]
    assert len(set(places)) == len(places)
    assert apart.arena_bytes > shared.arena_bytes


def test_unknown_techniques_are_refused():
    with pytest.raises(InputError, match="fusion"):
        PlanOptions.without(["speed"])
