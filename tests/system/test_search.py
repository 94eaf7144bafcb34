"""Whole searches on small networks: the plan is right, keeps its bounds, travels through files, and is never slow."""

import dataclasses
import json
import re
import shutil
import sqlite3

import numpy as np
import pytest

import thew
from thew import bench
from thew.bench.rivals import race
from thew.cli.app import execute
from thew.compress.accuracy import Data, labelled
from thew.errors import InputError, PlanError, UnsupportedError
from thew.search.objective import Objective
from thew.search.pruned import Pruning, choose_pruning
from thew.search.space import Settings
from thew.search.stages import Stages

BYTES = ["fp32", "int8"]
QUICK = {"levels": ["algorithm"], "seeds": 1}


@pytest.fixture(scope="module")
def network():
    model = thew.nn.Sequential(
        thew.nn.Conv2d(3, 16, 3, padding=1),
        thew.nn.ReLU(),
        thew.nn.Conv2d(16, 16, 3, padding=1, groups=16),
        thew.nn.Conv2d(16, 32, 1),
        thew.nn.ReLU(),
        thew.nn.AdaptiveAvgPool2d(1),
        thew.nn.Flatten(),
        thew.nn.Linear(32, 5),
    )
    return model.graph((1, 3, 20, 20))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "measurements.sqlite"


@pytest.fixture(scope="module")
def data(network):
    x = np.random.default_rng(0).standard_normal((40, 3, 20, 20)).astype(np.float32)
    session = thew.InferenceSession(network)
    return x, np.array([session.run(None, {"input": one[None]})[0].argmax() for one in x])


@pytest.fixture(scope="module")
def result(network, cache, data):
    return thew.search(network, data=data, max_accuracy_drop=0.05, precisions=["fp32"], episodes=60, cache=cache)


def test_plan_computes_the_same(network, result, data, tmp_path):
    path = tmp_path / "found.plan.json"
    result.plan.save(path)
    x = data[0][:1]
    (expected,) = thew.InferenceSession(network).run(None, {"input": x})
    (found,) = thew.InferenceSession(network, plan=path).run(None, {"input": x})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (
        result.confirmation is not None and result.confirmation.found.asked == 16 and result.confirmation.drop <= 0.05
    )
    other = thew.nn.Conv2d(3, 5, 20).graph((1, 3, 20, 20))
    with pytest.raises(PlanError):
        thew.InferenceSession(other, plan=path)


def test_agents_end_at_or_above_the_optimum(result):
    for name, curve in result.history.items():
        assert len(curve) == 60 and list(curve) == sorted(curve, reverse=True)
        assert curve[-1] >= result.optimum_seconds * (1 - 1e-9), name
    assert result.history["exact"][0] == pytest.approx(result.optimum_seconds)
    assert all(regret >= -1e-9 for regrets in result.regrets.values() for regret in regrets)
    assert result.regrets["exact"] == pytest.approx([0.0] * len(result.regrets["random"]), abs=1e-9)
    assert result.over_default <= 1


def test_peers_take_turns_with_the_plan(network, result, data):
    rivals, absent = race(result, network, ["thew", "nobody"], labelled(data), bench.Settings(2, 0.005))
    assert rivals[0].name == "thew fp32" and all(one.ratio > 0 for one in rivals)
    assert set(absent) >= {"nobody fp32", "nobody int8"}
    told = dataclasses.replace(result, rivals=rivals).to_dict()["rivals"][0]
    assert told["name"] == "thew fp32" and told["seconds"] > 0


def test_stages_last_until_the_next_one(result):
    told = []
    stages = Stages(lambda *at: told.append(at), "first")
    stages("second", 0, 1)
    stages("second", 1, 1)
    assert told == [("second", 0, 1), ("second", 1, 1)]
    assert list(stages.seconds()) == ["first", "second"] and min(stages.seconds().values()) >= 0
    assert {"reading", "measuring", "playing", "timing"} <= set(result.stages)


def test_second_search_measures_nothing_again(network, cache, result):
    for _ in range(2):
        seen = []
        thew.search(
            network,
            episodes=5,
            cache=cache,
            **QUICK,
            progress=lambda what, done, total: seen.append((what, done, total)),  # noqa: B023
        )
    assert ("measuring", 0, 0) in seen and max(total for what, _, total in seen if what == "measuring") == 0


def test_another_devices_times_spare_measurements(network, cache, result, tmp_path):
    there, here = tmp_path / "there.sqlite", tmp_path / "here.sqlite"
    with sqlite3.connect(cache) as opened, sqlite3.connect(there) as copied:
        opened.backup(copied)
        copied.execute("UPDATE measurement SET device = 'another', seconds = 2 * seconds")
    found = thew.search(network, episodes=5, cache=here, transfer_from=there, **QUICK)
    agreement = found.settings["transfer"]
    assert agreement["samples"] > 0 and agreement["held_out"] >= 0
    with sqlite3.connect(here) as opened:
        (kept,) = opened.execute("SELECT COUNT(*) FROM measurement WHERE samples > 0").fetchone()
    assert kept >= agreement["samples"] + agreement["held_out"]


def test_commands_keep_objectives_and_bounds(network, cache, result, tmp_path, monkeypatch, capsys):
    model, there = tmp_path / "model.onnx", tmp_path / "there.sqlite"
    thew.export_onnx(network, model)
    monkeypatch.setenv("THEW_CACHE", str(tmp_path))
    with sqlite3.connect(cache) as opened:
        for name in ("measurements.sqlite", "there.sqlite"):
            with sqlite3.connect(tmp_path / name) as copied:
                opened.backup(copied)
    with sqlite3.connect(there) as copied:
        copied.execute("UPDATE measurement SET device = 'another', seconds = 2 * seconds")

    def searched(*options, status=0):
        assert execute(["search", str(model), "--levels", "algorithm", "--episodes", "5", "--json", *options]) == status
        said = capsys.readouterr()
        return said.err if status else json.loads(said.out)

    assert execute(["search", str(model), "--levels", "algorithm", "--episodes", "5"]) == 0
    said = capsys.readouterr().out
    assert "◀ taken" in said and "BLAS fp32" in said and "default" in said and "model.report.html" in said
    assert (tmp_path / "model.plan.json").exists() and (tmp_path / "model.report.html").exists()
    assert "must be in a folder" in searched("--report", str(tmp_path / "nowhere" / "r.html"), status=1)
    least = searched("--objective", "memory")["best"]["peak_memory_bytes"]
    assert searched("--max-memory-bytes", str(least))["best"]["peak_memory_bytes"] <= least
    assert "max_memory_bytes" in searched("--max-memory-bytes", str(least - 1), status=1)
    weighed = searched("--objective", "latency=0.01,memory=1")
    assert weighed["settings"]["objective"] == {"latency": 0.01, "memory": 1.0}
    assert weighed["best"]["peak_memory_bytes"] <= weighed["default"]["peak_memory_bytes"]
    for wrong in ("latency=much", "speed=1", "latency=-1", "speed"):
        assert "objective" in searched("--objective", wrong, status=1)
    assert "max_accuracy_drop" in searched("--max-accuracy-drop", "0.1", status=1)  # without data
    assert searched("--transfer-from", str(there))["settings"]["transfer"] is not None
    assert execute(["cache", "compare", str(there), "--samples", "10", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["samples"] == 10 and compared["median_error"] < 0.9  # 1 without correction: twice as long
    assert execute(["cache", "compare", str(model)]) == 1


def test_memory_is_bounded_and_least(network, cache):
    least = thew.search(network, objective="memory", episodes=10, cache=cache, **QUICK)
    assert least.best.peak_memory_bytes <= least.default.peak_memory_bytes
    assert least.plan.peak_memory_bytes == least.best.peak_memory_bytes
    with pytest.raises(UnsupportedError, match="max_memory_bytes"):
        thew.search(network, max_memory_bytes=1000, episodes=2, cache=cache, **QUICK)


def test_front_holds_the_fastest_and_the_smallest(network, cache):
    found = thew.search(network, objective="pareto", episodes=4, baselines=["exact"], cache=cache, **QUICK)
    assert {point.name for point in found.pareto} <= {point.name for point in found.points}
    assert min(p.peak_memory_bytes for p in found.pareto) == min(p.peak_memory_bytes for p in found.points)
    assert min(p.seconds for p in found.pareto) == min(p.seconds for p in found.points) == found.best.seconds
    assert 0 <= found.hypervolume < 1


def test_weights_are_relative_to_the_default(network, cache):
    heavy = thew.search(network, objective={"latency": 0.01, "memory": 1}, episodes=20, cache=cache, **QUICK)
    assert heavy.best.peak_memory_bytes <= heavy.default.peak_memory_bytes


def test_levels_that_are_not_searched_stay_as_the_planner_has_them(network, cache):
    usual = thew.InferenceSession(network, threads=1).plan.choices
    frozen = thew.search(network, levels=["network"], episodes=2, seeds=1, cache=cache)
    if all(one.chosen == next(iter(one.worth)) for one in frozen.tried):
        assert all(not layer.others for layer in frozen.layers)
        assert {layer.name: layer.chosen for layer in frozen.layers} == {k: str(c) for k, c in usual.items()}
    algorithms = thew.search(network, episodes=2, cache=cache, **QUICK)
    assert not algorithms.tried
    assert frozen.settings["space"] <= algorithms.settings["space"]


def test_sixteen_bits_are_ways_to_run_layers(network, cache, data):
    sixteen = ["fp32", "bf16", "fp16"]
    found = thew.search(network, data=data, max_accuracy_drop=0.2, precisions=sixteen, episodes=5, seeds=1, cache=cache)
    (chosen,) = (one.chosen for one in found.tried if one.name == "half")
    ways = {layer.name: {layer.chosen, *(other.name for other in layer.others)} for layer in found.layers}
    assert any(f"_{chosen}_" in name for names in ways.values() for name in names)
    assert found.plan.precision in ("fp32", chosen) and found.over_default <= 1


def test_channels_are_pruned_where_accuracy_allows(network, cache, data, tmp_path):
    found = thew.search(
        network, data=data, max_accuracy_drop=1.0, precisions=["fp32"], pruning=[0.5], finetune_epochs=1,
        objective="size", episodes=2, seeds=1, cache=cache,
    )  # fmt: skip
    assert [one.chosen for one in found.tried if one.name == "pruning"] == ["0.5"]
    assert found.model is not None and found.best.weight_bytes < found.default.weight_bytes
    found.plan.save(tmp_path / "plan.json")
    thew.export_onnx(found.model, tmp_path / "pruned.onnx")
    (y,) = thew.InferenceSession(tmp_path / "pruned.onnx", plan=tmp_path / "plan.json").run(
        None, {"input": data[0][:1]}
    )
    (expected,) = thew.InferenceSession(tmp_path / "pruned.onnx").run(None, {"input": data[0][:1]})
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_no_channel_goes_where_accuracy_is_lost(network, data):
    types = {value.name: value.type for value in network.inputs}
    shares = Pruning((0.5,), 0, Data(*data))
    asked = []
    model, (tried,) = choose_pruning(
        network, types, shares, Settings(), lambda one, key: asked.append(key), Objective({"size": 1.0})
    )
    assert model is network and tried.chosen == "0.0" and tried.worth["0.5"] == float("inf")
    assert asked == [("pruning", 0.5)]


@pytest.fixture(scope="module")
def dense():
    """A network whose time is that of its dense weights, and its own answers to samples."""
    rng = np.random.default_rng(3)
    layers = [thew.nn.Conv2d(3, 4, 3, padding=1), thew.nn.ReLU(), thew.nn.Flatten(), thew.nn.Linear(1024, 1024)]
    graph = thew.nn.Sequential(*layers, thew.nn.ReLU(), thew.nn.Linear(1024, 10)).graph((1, 3, 16, 16))
    x = rng.standard_normal((60, 3, 16, 16)).astype(np.float32)
    session = thew.InferenceSession(graph)
    return graph, (x, np.array([session.run(None, {"input": one[None]})[0].argmax() for one in x]))


@pytest.mark.parametrize(
    ("how", "name", "chosen", "row"),
    [
        ({"pruning": ["2:4"]}, "pruning", "2:4", "gemv_structured"),
        ({"pruning": ["2:4", "block:0.75"]}, "pruning", "block:0.75", "gemv_blocks"),
        ({"precisions": BYTES}, "weights", "int8", "gemv_widened"),
    ],
)
def test_dense_weights_are_left_out_or_held_in_bytes(dense, cache, tmp_path, monkeypatch, how, name, chosen, row):
    def last(types, variants, wanted):  # whatever this machine would say
        return {one: 1.0 / (1 + place) for place, one in enumerate(variants)}

    graph, data = dense
    monkeypatch.setattr("thew.search.pruned.value_of", last)
    found = thew.search(
        graph, data=data, max_accuracy_drop=1.0, objective="size", episodes=2, seeds=1, cache=cache,
        **{"precisions": ["fp32"], **how},
    )  # fmt: skip
    (tried,) = (one for one in found.tried if one.name == name)
    assert tried.chosen == chosen and max(tried.worth.values()) < float("inf")
    ways = [way for layer in found.layers for way in (layer.chosen, *(other.name for other in layer.others))]
    assert any(way.startswith(row) for way in ways)
    assert found.model is not None and found.best.weight_bytes < found.default.weight_bytes
    found.plan.save(tmp_path / "plan.json")
    thew.export_onnx(found.model, tmp_path / "lighter.onnx")
    x = data[0][:1]
    (y,) = thew.InferenceSession(tmp_path / "lighter.onnx", plan=tmp_path / "plan.json").run(None, {"input": x})
    (expected,) = thew.InferenceSession(tmp_path / "lighter.onnx").run(None, {"input": x})
    np.testing.assert_allclose(y, expected, atol=0.05 * float(np.abs(expected).max()))  # layers may run on integers


def test_energy_is_measured_or_refused(network, cache, monkeypatch):
    from thew.errors import SensorError

    def none(root=None):
        raise SensorError("energy: this machine must have a sensor, got none; give a meter")

    monkeypatch.setattr("thew.search.run.choose_meter", none)
    with pytest.raises(SensorError):
        thew.search(network, objective="energy", cache=cache)
    with pytest.raises(SensorError):
        thew.search(network, max_energy_joules=1.0, cache=cache)


@pytest.mark.parametrize(
    "arguments",
    [
        {"objective": "beauty"},
        {"objective": 3},
        {"threads": 0},
        {"seed": -1},
        {"max_memory_bytes": "1GB"},
        {"input_shapes": {"nobody": (1, 3, 20, 20)}},
        {"objective": {"latency": 1.0, "memory": -1.0}},
        {"objective": {}},
        {"precisions": ["int8"], "data": (np.zeros((9, 3, 20, 20), np.float32), np.zeros(9, int))},
        {"levels": ["hardware"]},
        {"levels": []},
        {"precisions": ["fp32", "int3"]},
        {"data": (np.zeros((2, 3, 20, 20), np.float32), np.zeros(2, int))},
        {"agent": "nobody"},
        {"pruning": [0.5]},
        {
            "pruning": ["4:2"],
            "data": (np.zeros((9, 3, 20, 20), np.float32), np.zeros(9, int)),
            "max_accuracy_drop": 0.1,
        },
        {"pruning": ["block:2"]},
        {"pruning": ["colour"]},
        {"pruning": [1.0], "data": (np.zeros((9, 3, 20, 20), np.float32), np.zeros(9, int)), "max_accuracy_drop": 0.1},
        {"max_accuracy_drop": 0.1},
        {"episodes": 0},
        {"data": (np.zeros((2, 3, 20, 20), np.float32), np.zeros(3, int)), "max_accuracy_drop": 0.1},
    ],
)
def test_bad_arguments_are_refused(network, cache, arguments):
    with pytest.raises(InputError):
        thew.search(network, cache=cache, **arguments)


def test_report_is_one_page_with_its_data(result, tmp_path):
    path = tmp_path / "report.html"
    result.report(path)
    page = path.read_text(encoding="utf-8")
    (held,) = re.findall(r"const result = (\{.*\});\n", page)
    document = json.loads(held)
    assert document["best"]["seconds"] == result.best.seconds
    assert [layer["name"] for layer in document["layers"]] == [layer.name for layer in result.layers]
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "") and "<script src" not in page


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        installed = shutil.which("chromium") or shutil.which("google-chrome")
        try:
            opened = driver.chromium.launch(executable_path=installed, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no browser: {error}")
        yield opened
        opened.close()


@pytest.fixture
def page(browser, result, tmp_path):
    hostile = dataclasses.replace(result.layers[0], name="</script><b id=injected>", others=result.layers[0].others)
    dataclasses.replace(result, layers=(hostile, *result.layers[1:])).report(tmp_path / "report.html")
    opened, wrong = browser.new_page(viewport={"width": 1000, "height": 900}), []
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    opened.goto((tmp_path / "report.html").as_uri())
    yield opened
    opened.close()
    assert wrong == []


def test_report_draws_all_that_it_has(page, result):
    assert page.locator("body").get_attribute("data-drawn") == "yes"
    assert page.locator("#injected").count() == 0
    assert page.locator("#layers tbody tr").count() == len(result.layers)
    assert page.locator("#curves path").count() == len(result.history) == page.locator("#keys button").count()
    assert page.locator("#front circle[tabindex]").count() == len(result.points) + 1
    assert page.locator("#regrets tbody tr").count() == len(result.regrets)
    assert f"{result.speedup:.2f}×" in page.locator("#figures").inner_text()


def test_report_answers(page, result):
    page.locator("#front circle[tabindex]").last.hover()
    assert "BLAS fp32" in page.locator("#said").inner_text()
    page.locator("#curves").hover(position={"x": 400, "y": 60})
    assert page.locator("#read").inner_text().startswith("episode ")
    key = page.locator("#keys button").first
    key.click()
    assert key.get_attribute("aria-pressed") == "false" and not page.locator("#curves path").first.is_visible()
    page.locator("#order").click()
    times = [float(text) for text in page.locator("#layers tbody tr td:nth-child(5)").all_inner_texts()]
    assert times == sorted(times, reverse=True)
    page.locator("#open").click()
    assert page.locator("#layers details[open]").count() == sum(bool(layer.others) for layer in result.layers)
    page.locator("#filter").fill("matmul")
    assert page.locator("#layers tbody tr:visible").count() == sum(
        "matmul" in f"{layer.name} {layer.op} {layer.chosen}" for layer in result.layers
    )


def test_report_fits_a_phone_and_paper(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert not page.locator("#filter").is_visible() and page.locator("#layers").is_visible()


def test_command_line(network, tmp_path, monkeypatch, capsys, data):
    monkeypatch.setenv("THEW_CACHE", str(tmp_path))
    model, samples, plan = tmp_path / "m.onnx", tmp_path / "d.npz", tmp_path / "m.plan.json"
    thew.export_onnx(network, model)
    np.savez(samples, x=data[0], y=data[1])
    bounds = ["--data", str(samples), "--max-accuracy-drop", "0.05", "--episodes", "20"]
    assert execute(["search", str(model), *bounds, "--report", str(tmp_path / "r.html"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["plan"] == str(plan) and plan.exists() and (tmp_path / "r.html").exists()
    assert execute(["run", str(model), "--plan", str(plan)]) == 0
    capsys.readouterr()
    assert execute(["search", str(model), "--space", "--json"]) == 0
    space = json.loads(capsys.readouterr().out)
    assert space["size"] > 1 and {"algorithm", "layout", "precision", "fusion"} <= {
        d["name"] for d in space["dimensions"]
    }
    assert execute(["cache", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["measurements"] > 0
    exported = tmp_path / "export.json"
    assert execute(["cache", "export", str(exported)]) == 0 and execute(["cache", "import", str(exported)]) == 0
    exported.write_text("{}")
    assert execute(["cache", "import", str(exported)]) == 1
