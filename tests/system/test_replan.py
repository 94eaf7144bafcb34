"""Plans of other devices and versions: refused, or adapted where that is asked for; never run wrong."""

import json
import random

import numpy as np
import pytest

import thew
from thew import nn
from thew.cli.app import execute
from thew.compress import Calibrator
from thew.errors import Error, PlanError
from thew.plan.plan import digest_of
from thew.runtime.device import facts, target
from thew.runtime.replan import replan
from thew.runtime.survey import planned_graph
from thew.search.mixed import MixedEnvironment

SHAPE = (1, 3, 12, 12)


@pytest.fixture(scope="module")
def model():
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.MaxPool2d(2), nn.Conv2d(16, 8, 1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(200, 5)).graph(SHAPE)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((16, *SHAPE[1:])).astype(np.float32)


def foreign(plan, path, **changes):
    """The plan in a file, as another device or version would have written it."""
    plan.save(path)
    document = json.loads(path.read_text())
    del document["digest"]
    document |= changes
    document["digest"] = digest_of(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("changes", [{"device": "another"}, {"version": "0.0.1"}, {"format": 1, "version": "0.0.1"}])
def test_foreign_plans_are_refused_or_adapted(model, x, tmp_path, changes):
    plan = thew.InferenceSession(model, threads=1).plan
    path = foreign(plan, tmp_path / "plan.json", **changes)
    with pytest.raises(PlanError, match="replan"):
        thew.InferenceSession(model, threads=1, plan=path)
    session = thew.InferenceSession(model, threads=1, plan=path, replan=True)
    assert session.plan.choices == plan.choices and session.plan.device == plan.device
    (found,), (expected,) = (one.run(None, {"input": x[:1]}) for one in (session, thew.InferenceSession(model)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_algorithms_and_layouts_are_followed_where_rows_are_others(model):
    isas = facts()["isas"]
    plan = thew.InferenceSession(model, threads=1, isa=isas[-1]).plan
    found = replan(model, plan)
    assert found.device == target(1).device
    for key, choice in found.choices.items():
        wanted = plan.choices[key]
        assert (choice.algorithm, choice.layout, choice.precision) == (
            wanted.algorithm,
            wanted.layout,
            wanted.precision,
        )


def test_precisions_are_followed(model, x, tmp_path):
    space = MixedEnvironment(model, planned_graph(model), target(1), Calibrator(model, x), half="bf16")
    space.fill({}, frozenset())
    wanted = ("int8", "int8", "fp32", "bf16")
    chosen = tuple(
        next((i for i, way in enumerate(ways) if way.choice.precision == wanted[at % 4]), 0)
        for at, ways in enumerate(space.alternatives.values())
    )
    plan = space.network(chosen).plan
    found = replan(model, foreign(plan, tmp_path / "plan.json", device="another"))
    assert (found.quantisation, found.precision, found.kept) == (plan.quantisation, plan.precision, plan.kept)
    assert found.choices == plan.choices


def test_plans_of_other_models_are_refused(model, tmp_path):
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 2)).graph((1, 3, 5, 5))
    path = foreign(thew.InferenceSession(model).plan, tmp_path / "plan.json", device="another")
    with pytest.raises(Error):
        thew.InferenceSession(other, plan=path, replan=True)


def test_hostile_plans_are_refused_or_adapted(model, x, tmp_path):
    text = foreign(thew.InferenceSession(model, threads=1).plan, tmp_path / "plan.json", device="another").read_text()
    (expected,), rng, refused = thew.InferenceSession(model).run(None, {"input": x[:1]}), random.Random(0), 0
    values = [None, -1, "x", [], {}, 1e30, True]
    for _ in range(40):
        document = json.loads(text)
        name = rng.choice([name for name in document if name != "digest"])
        document[name] = rng.choice(values)
        if rng.random() < 0.8:
            del document["digest"]
            document["digest"] = digest_of(document)
        (tmp_path / "broken.json").write_text(json.dumps(document))
        try:
            session = thew.InferenceSession(model, threads=1, plan=tmp_path / "broken.json", replan=True)
            (found,) = session.run(None, {"input": x[:1]})
        except PlanError:
            refused += 1
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert refused > 10


def test_command_line(model, tmp_path, capsys):
    file = tmp_path / "model.onnx"
    thew.export_onnx(model, file)
    path = foreign(thew.InferenceSession(file, threads=1).plan, tmp_path / "old.json", version="0.0.1")
    assert execute(["run", str(file), "--plan", str(path)]) == 1
    assert "replan" in capsys.readouterr().err
    assert execute(["run", str(file), "--plan", str(path), "--replan"]) == 0
    assert execute(["search", str(file), "--replan", str(path)]) == 0
    assert execute(["run", str(file), "--plan", str(tmp_path / "model.plan.json")]) == 0
