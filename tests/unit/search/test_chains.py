"""Chains keep what is fastest for each where it runs; whatever that is computes the same."""

import numpy as np
import pytest

import thew
from thew import nn
from thew.plan import PlanOptions, build_plan
from thew.plan.blocking import BLOCKINGS
from thew.runtime.device import target
from thew.runtime.survey import planned_graph
from thew.search.chains import with_chains
from thew.search.environment import Environment

OPTIONS = PlanOptions(fitted_blocking=False, winograd=False)  # of a small core: small images exceed its second level


class Clock:
    """Trials of networks whose steps take what a rule says."""

    def __init__(self, seconds):
        self.seconds = seconds

    def in_place(self, network):
        names = [tuple(stage.name for stage in step.stages) or (step.name,) for step in network.plan.steps]
        return [(name, self.seconds(step)) for name, step in zip(names, network.plan.steps, strict=True)]


@pytest.fixture(scope="module")
def space():
    layers = [nn.Conv2d(24, 96, 1), nn.ReLU(), nn.Conv2d(96, 96, 3, padding=1, groups=96), nn.Conv2d(96, 24, 1)]
    model = nn.Sequential(*layers).graph((1, 24, 49, 37))
    graph = planned_graph(model, options=OPTIONS)
    made = Environment(model, graph, target(1), options=OPTIONS)
    made.fill({}, frozenset())  # estimates serve
    chosen = made.assignment_of(build_plan(graph, target(1), OPTIONS).choices)
    return made, chosen, made.network(chosen)


def height(step):
    return step.attributes.get("blocking", BLOCKINGS["fitted"])


@pytest.mark.parametrize(
    ("seconds", "stages", "blocking"),
    [
        (lambda step: 0.5 if height(step) == BLOCKINGS["low"] else 1.0, 3, BLOCKINGS["low"]),
        (lambda step: 1.0 if step.stages else 0.1, 0, BLOCKINGS["fitted"]),
    ],
)
def test_a_chain_runs_as_it_was_fastest(space, seconds, stages, blocking):
    environment, chosen, network = space
    assert max(len(step.stages) for step in network.plan.steps) == 3
    tuned = with_chains(environment, Clock(seconds), chosen, network)
    assert max(len(step.stages) for step in tuned.plan.steps) == stages
    assert all(height(step) == blocking for step in tuned.plan.steps if step.stages)
    x = np.random.default_rng(0).standard_normal((1, 24, 49, 37)).astype(np.float32)
    outputs = [thew.InferenceSession(one.graph, plan=one.plan).run(None, {"input": x})[0] for one in (network, tuned)]
    np.testing.assert_array_equal(*outputs)


def test_what_gains_nothing_stays(space):
    environment, chosen, network = space
    assert with_chains(environment, Clock(lambda step: 1.0 if step.stages else 0.4), chosen, network) is None
