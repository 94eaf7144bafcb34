"""Costs in place: what was seen counts, what was not changes as that did, and what cannot be told apart is left."""

import numpy as np
import pytest

from thew import nn
from thew.runtime.device import target
from thew.runtime.survey import planned_graph
from thew.search.environment import Environment
from thew.search.in_place import InPlace


@pytest.fixture
def space():
    layers = [nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(256, 5)]
    model = nn.Sequential(*layers).graph((1, 3, 14, 14))
    made = Environment(model, planned_graph(model), target(1))
    made.fill({}, frozenset())  # estimates serve
    return made


def costs(space):
    return {key: [way.cost.seconds for way in ways] for key, ways in space.alternatives.items()}


def test_what_was_seen_counts_and_the_rest_of_its_layer_follows(space):
    before, chosen = costs(space), tuple(0 for _ in space.alternatives)
    names, (first, *_) = space.nodes_in(chosen), space.alternatives
    assert len(before[first]) > 2
    seen = InPlace(space)
    seen.add(chosen, [(names[first], 3 * before[first][0])])
    seen.correct()
    after = costs(space)
    np.testing.assert_allclose(after[first], 3 * np.array(before[first]))
    assert {key: own for key, own in after.items() if key != first} == {k: v for k, v in before.items() if k != first}
    other = (1, *chosen[1:])
    seen.add(other, [(names[first], before[first][1])])
    seen.correct()
    np.testing.assert_allclose(costs(space)[first][:3], np.array(before[first][:3]) * [3, 1, 2])


def test_a_strip_is_shared_by_its_layers(space):
    before, chosen = costs(space), tuple(0 for _ in space.alternatives)
    names, keys = space.nodes_in(chosen), [key for key, own in before.items() if own[0] > 0][:2]
    whole = sum(before[key][0] for key in keys)
    seen = InPlace(space)
    seen.add(chosen, [(tuple(names[key][0] for key in keys), 2 * whole)])
    seen.correct()
    for key in keys:
        assert costs(space)[key][0] == pytest.approx(2 * before[key][0])


def test_layers_that_several_steps_run_are_left(space):
    before, chosen = costs(space), tuple(0 for _ in space.alternatives)
    names, (first, *_) = space.nodes_in(chosen), space.alternatives
    seen = InPlace(space)
    seen.add(chosen, [(names[first], 1.0), (names[first], 1.0), (("a copy",), 1.0)])
    seen.correct()
    assert costs(space) == before
