"""Precisions as choices: whatever is assigned becomes a network that computes the model, in the precisions assigned."""

import numpy as np
import pytest

import thew
from thew import nn
from thew.compress import Calibrator
from thew.errors import PlanError
from thew.passes import pipeline
from thew.plan import Plan
from thew.runtime.device import target
from thew.runtime.executable import prepare_graph
from thew.search.mixed import FLOAT, INTEGER, MixedEnvironment

SHAPE = (1, 3, 12, 12)


class Block(nn.Module):
    """All that a twin may be: a product with a residual, one with a clip, moves, and ops that stay float."""

    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.depthwise, self.pointwise = nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 16, 1)
        self.relu, self.clip, self.pool = nn.ReLU(), nn.ReLU6(), nn.MaxPool2d(2)
        self.average, self.flatten, self.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)

    def forward(self, x):
        x = self.relu(self.bn(self.stem(x)))
        x = self.relu(self.pointwise(self.clip(self.depthwise(x))) + x)
        return self.head(self.flatten(self.average(self.pool(x))))


@pytest.fixture(scope="module")
def model():
    return Block().graph(SHAPE)


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).standard_normal((32, *SHAPE[1:])).astype(np.float32)


@pytest.fixture(scope="module")
def space(model, samples):
    loaded = pipeline.run(model, pipeline.LOAD)
    graph = prepare_graph(loaded, {value.name: value.type for value in loaded.inputs})
    space = MixedEnvironment(model, graph, target(1), Calibrator(model, samples))
    space.fill({}, frozenset())  # estimates serve
    return space


def assignment(space, wants_integers):
    """For each layer the cheapest option in the precision wanted, where it has one."""
    chosen = []
    for position, (key, ways) in enumerate(space.alternatives.items()):
        wanted = INTEGER if wants_integers(position) else FLOAT
        ranked = sorted(range(len(ways)), key=lambda i: (ways[i].choice.precision != wanted, ways[i].cost.seconds))
        assert wanted == INTEGER or ways[ranked[0]].choice.precision != INTEGER, key
        chosen.append(ranked[0])
    return tuple(chosen)


def test_products_sums_and_moves_have_twins(space):
    ops = [node.op for node in space.graph.nodes if node.outputs[0] in space.twins]
    assert ops.count("conv") == 3 and "max_pool" in ops and ops.count("matmul") == 1
    (residual,) = (node for node in space.graph.nodes if node.op == "conv" and node.input(3))
    twin = space.twins[residual.outputs[0]]
    assert twin.nodes[0].op == "qlinear_conv" and len(twin.layers) == 2  # the convolution and the sum


@pytest.mark.parametrize("case", ["all float", "all integers", "every second", "first float", "last float"])
def test_assignments_become_networks(space, model, samples, case, tmp_path):
    last = len(space.alternatives) - 1
    wants = {
        "all float": lambda i: False,
        "all integers": lambda i: True,
        "every second": lambda i: i % 2 == 0,
        "first float": lambda i: i > 0,
        "last float": lambda i: i < last,
    }[case]
    chosen = assignment(space, wants)
    network = space.network(chosen)
    assert network is not None
    path = tmp_path / "plan.json"
    network.plan.save(path)
    session = thew.InferenceSession(model, plan=path)
    kept = space.kept(chosen)
    if case == "all float":
        expected = thew.InferenceSession(model)
        assert network.plan.quantisation is None
    else:
        expected = thew.InferenceSession(space.calibrator.quantize(kept).graph)
        assert network.plan.quantisation.kept == kept
        assert any(step.op == "qlinear_conv" for step in network.plan.steps)
    for x in samples[:4]:
        (found,), (exact,) = session.run(None, {"input": x[None]}), expected.run(None, {"input": x[None]})
        # One plan's sums in fp32 may differ from another's in the last place, and turn a rounding by one step.
        steps = 0 if case == "all float" else max(scale for scale, _ in network.plan.quantisation.steps)
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4 + steps)


def test_what_is_kept_is_what_the_assignment_wants_in_float(space):
    assert space.kept(assignment(space, lambda i: True)) == ()
    layers = sorted(key for twin in space.twins.values() for key in twin.layers)
    assert list(space.kept(assignment(space, lambda i: False))) == layers


def test_conversions_are_paid_between_precisions(space):
    table, between = space.table(), space.between
    whole, one = (assignment(space, wants) for wants in (lambda i: True, lambda i: i != 1))
    own = sum(space.alternatives[name][option].cost.seconds for name, option in zip(table.names, one, strict=True))
    assert table.total(one) >= own + min(between.values())
    assert np.isfinite(table.total(whole)) and table.total(table.optimum()) <= min(table.total(whole), table.total(one))


def test_quantised_plans_are_refused_for_other_models(space, tmp_path):
    network = space.network(assignment(space, lambda i: True))
    other = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()).graph(SHAPE)
    with pytest.raises(PlanError):
        thew.InferenceSession(other, plan=network.plan)
    path = tmp_path / "plan.json"
    network.plan.save(path)
    for old, new in (('"steps":[[', '"steps":[[-'), ('"kept":[]', '"kept":[3]'), ('"values":{"', '"values":{"x')):
        text = path.read_text()
        assert old in text
        broken = tmp_path / "broken.json"
        broken.write_text(text.replace(old, new, 1) if old != '"kept":[]' else new.join(text.rsplit(old, 1)))
        with pytest.raises(PlanError):
            thew.InferenceSession(space.source, plan=Plan.load(broken))
