"""A plan of another device or version, made anew for this one: what it was meant to be, as far as it can be here."""

from __future__ import annotations

import os
from dataclasses import replace

from thew.errors import ModelError, PlanError
from thew.ir import Graph
from thew.passes.requantise import requantise
from thew.plan import Plan, build_plan
from thew.plan.intent import Intent
from thew.runtime.device import target
from thew.runtime.survey import planned_graph


def replan(graph: Graph, plan: str | os.PathLike[str] | Plan, threads: int | None = None) -> Plan:
    """A plan for this machine that runs every node of the model as the given one does, where that can be.

    Args:
        graph: the model as a session takes it.
        plan: a plan, or the path of one that was saved by any version on any device.
        threads: workers; by default as many as it had.

    Raises:
        PlanError: the file is no plan, or it is one of another model.
    """
    intent = Intent.of(plan) if isinstance(plan, Plan) else Intent.read(plan)
    try:
        model = graph if intent.quantisation is None else requantise(graph, intent.quantisation)
    except ModelError as error:
        raise PlanError(f"plan: must be made for this model, got one whose {error}; search again") from error
    if {value.name: value.type.dtype for value in graph.inputs} != {k: t.dtype for k, t in intent.types.items()}:
        raise PlanError(f"plan: must be made for this model, got one of inputs {sorted(intent.types)}; search again")
    shapes = {name: known.static_shape for name, known in intent.types.items()}
    prepared = planned_graph(model, shapes, intent.options, intent.precision, intent.kept)
    here = target(intent.threads if threads is None else threads)
    choices = intent.choices_for(prepared, here)
    if intent.choices and not choices:
        raise PlanError("plan: must be made for this model, got one that knows none of its nodes; search again")
    try:
        made = build_plan(prepared, here, intent.options, choices)
    except PlanError:  # some do not go together here
        made = build_plan(prepared, here, intent.options)
    return replace(made, precision=intent.precision, kept=intent.kept, quantisation=intent.quantisation)
