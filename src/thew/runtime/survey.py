"""All legal ways to run every node of a model on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thew.ir import Graph, TensorType
from thew.passes import pipeline
from thew.plan import ALL_TECHNIQUES, PlanOptions, Target, Way, survey
from thew.runtime.executable import prepare_graph


def planned_graph(
    graph: Graph,
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: PlanOptions = ALL_TECHNIQUES,
    precision: str = "fp32",
    kept: Sequence[str] = (),
) -> Graph:
    """The graph that a session plans: rewritten, with static types; choices know its nodes by their first outputs.

    Args:
        graph: as read or built.
        shapes: of inputs by name, where those declared are not to be taken (an unknown extent counts as 1).
        options: techniques that plans may use.
        precision: "fp16" and "bf16" reduce what is fp32.
        kept: nodes that stay in fp32 then, by their first output.
    """
    passes = pipeline.limited(pipeline.LOAD, options.fusion, options.folding)
    loaded = pipeline.run(graph, passes)
    types = {}
    for value in loaded.inputs:
        shape = (shapes or {}).get(value.name) or value.type.shape or ()
        types[value.name] = TensorType(value.type.dtype, tuple(n if isinstance(n, int) else 1 for n in shape))
    return prepare_graph(loaded, types, options, precision, kept)


def survey_model(
    graph: Graph,
    target: Target,
    shapes: Mapping[str, Sequence[int]] | None = None,
    options: PlanOptions = ALL_TECHNIQUES,
) -> Mapping[str, tuple[Way, ...]]:
    """The legal ways of every node, cheapest first by the planner's estimate, by the node's first output."""
    return survey(planned_graph(graph, shapes, options), target, options)
