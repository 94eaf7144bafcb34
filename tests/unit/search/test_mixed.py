"""Precisions as choices: whatever is assigned becomes a network that computes the model, in the precisions assigned."""

import numpy as np
import pytest

import thew
from thew import nn
from thew.compress import Calibrator
from thew.errors import PlanError
from thew.plan import Plan
from thew.runtime.device import target
from thew.runtime.survey import planned_graph
from thew.search.forms import FLOAT, INTEGER
from thew.search.mixed import MixedEnvironment

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
    space = MixedEnvironment(model, planned_graph(model), target(1), Calibrator(model, samples))
    space.fill({}, frozenset())  # estimates serve
    return space


@pytest.fixture(scope="module", params=["fp16", "bf16"])
def halved(request, model, samples):
    """With 16 bits and integers, and without integers."""
    graph = planned_graph(model)
    spaces = [
        MixedEnvironment(model, graph, target(1), one, half=request.param) for one in (Calibrator(model, samples), None)
    ]
    for space in spaces:
        space.fill({}, frozenset())
    return spaces


def in_precisions(space, wanted_of):
    """For each layer the cheapest option in the precision wanted, where it has one, else in fp32."""
    chosen = []
    for position, ways in enumerate(space.alternatives.values()):
        ranks = {wanted_of(position): 0, FLOAT: 1}
        chosen.append(
            min(range(len(ways)), key=lambda i: (ranks.get(ways[i].choice.precision, 2), ways[i].cost.seconds))
        )
    return tuple(chosen)


def assignment(space, wants_integers):
    """For each layer the cheapest option on integers or in fp32."""
    return in_precisions(space, lambda position: INTEGER if wants_integers(position) else FLOAT)


def test_products_sums_and_moves_have_twins(space):
    ops = [node.op for node in space.graph.nodes if node.outputs[0] in space.twins[INTEGER]]
    assert ops.count("conv") == 3 and "max_pool" in ops and ops.count("matmul") == 1
    (residual,) = (node for node in space.graph.nodes if node.op == "conv" and node.input(3))
    twin = space.twins[INTEGER][residual.outputs[0]]
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
    kept = space.kept(space.picks(chosen))
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


@pytest.mark.parametrize("case", ["all", "every second", "all three in turn"])
def test_layers_in_sixteen_bits_become_networks(halved, model, samples, case, tmp_path):
    for space in halved:
        wanted = {
            "all": lambda i: space.half,  # noqa: B023
            "every second": lambda i: (FLOAT, space.half)[i % 2],  # noqa: B023
            "all three in turn": lambda i: (INTEGER, FLOAT, space.half, space.half)[i % 4],  # noqa: B023
        }[case]
        chosen = in_precisions(space, wanted)
        network = space.network(chosen)
        assert network is not None
        path = tmp_path / "plan.json"
        network.plan.save(path)
        session = thew.InferenceSession(model, plan=path)
        on_integers = network.plan.quantisation is not None
        assert on_integers == (space.calibrator is not None and case == "all three in turn")
        if case == "all":
            assert network.plan.precision == space.half and network.plan.kept == ()
            assert any(step.kernel.split("_")[2] == space.half for step in network.plan.steps if step.op == "conv")
        rest = space.calibrator.quantize(space.kept(space.picks(chosen))).graph if on_integers else model
        expected = thew.InferenceSession(rest)
        epsilon = {"fp16": 2.0**-11, "bf16": 2.0**-8}[space.half]
        for x in samples[:4]:
            (found,), (exact,) = session.run(None, {"input": x[None]}), expected.run(None, {"input": x[None]})
            # Seven layers round once each, relative to sums of magnitudes that cancel to a few times their result; what
            # is near a middle between integers may turn by one step.
            steps = max(scale for scale, _ in network.plan.quantisation.steps) if on_integers else 0
            np.testing.assert_allclose(found, exact, rtol=0, atol=16 * epsilon * np.abs(exact).max() + steps)


def test_sixteen_bits_are_converted_to_by_way_of_fp32(halved):
    space, _ = halved
    formulation = space.formulation()
    name = next(name for name in space.forms[INTEGER].stored[INTEGER] if len(space.precisions_of(name)) == 3)
    there, back = (space.between[name, *way] for way in ((FLOAT, space.half), (space.half, FLOAT)))
    assert formulation._conversion(name, "fp32:plain", f"{space.half}:plain") == there > 0
    assert (
        formulation._conversion(name, f"{space.half}:plain", "int8:plain") == back + space.between[name, FLOAT, INTEGER]
    )
    assert formulation._conversion(name, "int8:plain", f"{space.half}:plain") == np.inf
    table = space.table()
    assert np.isfinite(table.total(table.optimum()))


def test_what_is_kept_is_what_the_assignment_wants_in_float(space):
    assert space.kept(space.picks(assignment(space, lambda i: True))) == ()
    layers = sorted(key for twin in space.twins[INTEGER].values() for key in twin.layers)
    assert list(space.kept(space.picks(assignment(space, lambda i: False)))) == layers


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


def test_what_layers_lose_on_integers_is_asked_once(space, model, samples, tmp_path, monkeypatch):
    def kept():
        made = MixedEnvironment(
            model, planned_graph(model), target(1), Calibrator(model, samples), cache=tmp_path / "kept.sqlite"
        )
        made.fill({}, frozenset())
        return made.table().risk.sensitivity()

    lost = space.table().risk.sensitivity()
    assert kept() == pytest.approx(lost) and max(lost) > 0
    monkeypatch.setattr("thew.search.mixed.sensitivity", lambda *given, **named: pytest.fail("asked again"))
    assert kept() == pytest.approx(lost)
