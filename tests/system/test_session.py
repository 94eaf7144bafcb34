"""Sessions: shapes, threads, memory, errors, Python steps, saved plans; the oracle is the NumPy interpreter."""

import dataclasses
import os
import threading
import tracemalloc

import numpy as np
import pytest

import thew
from thew import nn
from thew.errors import InputError, MemoryLimitError, ModelError, PlanError
from thew.ir import GraphBuilder
from thew.ops.interpret import evaluate
from thew.plan import Choice, PlanOptions
from thew.plan.blocking import BLOCKINGS
from thew.runtime import device
from thew.runtime.device import facts, target
from thew.runtime.native import supported_rows


def small_network(batch="n", size=14, last="relu"):
    """Convolution with a residual, a concat, pooling and a dense layer: every kind of buffer."""
    rng = np.random.default_rng(0)
    b = GraphBuilder("small")
    x = b.input("x", "fp32", (batch, 3, size, size))
    w1 = b.constant(rng.standard_normal((8, 3, 3, 3)).astype(np.float32) / 5, "w1")
    w2 = b.constant(rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8, "w2")
    w3 = b.constant(rng.standard_normal((10, 16)).astype(np.float32), "w3")
    first = b.node("relu", [b.node("conv", [x, w1], pads=(1, 1, 1, 1))])
    second = b.node("add", [b.node("conv", [first, w2], pads=(1, 1, 1, 1)), first])
    joined = b.node("concat", [b.node(last, [second]), first], axis=1)
    pooled = b.node("flatten", [b.node("global_average_pool", [joined])], axis=1)
    return b.graph([b.node("gemm", [pooled, w3], "y", transB=1)])


def check(session, graph, x):
    (got,) = session.run(None, {"x": x})
    (want,) = evaluate(graph, {"x": x}).values()
    # Sums of at most 72 + 196 + 16 products, each at most a few units large.
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_matches_the_interpreter_for_every_batch(threads):
    graph = small_network()
    session = thew.InferenceSession(graph, threads=threads)
    rng = np.random.default_rng(1)
    for batch in (1, 3, 2, 1, 0):
        check(session, graph, rng.standard_normal((batch, 3, 14, 14)).astype(np.float32))


@pytest.mark.parametrize("technique", [field.name for field in dataclasses.fields(PlanOptions)])
def test_every_technique_can_be_left_out(technique):
    graph = small_network()
    options = PlanOptions.without([technique])
    session = thew.InferenceSession(graph, options=options)
    check(session, graph, np.random.default_rng(3).standard_normal((2, 3, 14, 14)).astype(np.float32))
    assert session.plan.options == options
    steps = {
        name: len(thew.InferenceSession(graph, options=o).plan.steps) for name, o in (("on", None), ("off", options))
    }
    assert technique not in ("fusion", "layouts") or steps["off"] > steps["on"]


def test_a_forced_choice_runs():
    graph = small_network(batch=2)
    free = thew.InferenceSession(graph).plan
    key = next(node for node in free.choices if "conv" in free.choices[node].algorithm)
    rows = [row for row in supported_rows() if row.family == "conv" and row.algorithm == "implicit" and row.a == "fp32"]
    for row in rows:
        session = thew.InferenceSession(graph, choices={key: Choice(row=row.name)})
        assert session.plan.choices[key].row == row.name
        check(session, graph, np.random.default_rng(4).standard_normal((2, 3, 14, 14)).astype(np.float32))
    with pytest.raises(PlanError, match="must name"):
        thew.InferenceSession(graph, choices={"nowhere": Choice(row=rows[0].name)})
    with pytest.raises(PlanError, match="must be one that a kernel can run"):
        thew.InferenceSession(graph, choices={key: Choice(precision="int8")})


def threaded_network():
    """Layers of several families, sums deep enough for blocks, extents that no tile divides."""
    layers = [nn.Conv2d(5, 72, 3, padding=1), nn.ReLU(), nn.Conv2d(72, 35, 3, padding=1), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(35, 35, 3, padding=1, groups=35), nn.Conv2d(35, 9, 1), nn.Flatten(), nn.Linear(9 * 11 * 11, 7)]
    return nn.Sequential(*layers).graph((1, 5, 22, 22))


@pytest.mark.parametrize("blocking", BLOCKINGS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_threads_and_blocking_of_a_node_compute_the_same(threads, blocking):
    graph = threaded_network()
    keys = thew.InferenceSession(graph, threads=3).plan.choices
    forced = {key: Choice(threads=threads, blocking=blocking) for key in keys}
    session = thew.InferenceSession(graph, threads=3, choices=forced)
    how = [step.attributes for step in session.plan.steps if step.op == "conv"]
    assert all(found.get("threads", 3) == threads for found in how)
    x = np.random.default_rng(5).standard_normal((1, 5, 22, 22)).astype(np.float32)
    (want,) = evaluate(graph, {"input": x}).values()
    np.testing.assert_allclose(session.run(None, {"input": x})[0], want, rtol=1e-4, atol=1e-4)  # sums of 1,089 at most
    assert all(row.threads == threads for row in session.explain().rows if row.op == "conv")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", 0),
        ("threads", 4),
        ("threads", "all"),
        ("blocking", (100, 100)),
        ("blocking", (0, 100, 4)),
        ("blocking", (100, 1 << 40, 4)),
        ("blocking", (100, 100, -1)),
        ("blocking", "deep"),
    ],
)
def test_a_forged_way_of_running_is_refused(name, value, tmp_path):
    graph = threaded_network()
    plan = thew.InferenceSession(graph, threads=3).plan
    steps = [dataclasses.replace(step, attributes={**step.attributes, name: value}) for step in plan.steps]
    dataclasses.replace(plan, steps=tuple(steps)).save(tmp_path / "forged.json")
    with pytest.raises(PlanError, match="must"):
        thew.InferenceSession(graph, plan=tmp_path / "forged.json")


def test_one_session_serves_many_threads():
    graph = small_network()
    session = thew.InferenceSession(graph, threads=2)
    rng = np.random.default_rng(2)
    failures = []

    def work(seed):
        x = np.random.default_rng(seed).standard_normal((1 + seed % 3, 3, 14, 14)).astype(np.float32)
        try:
            for _ in range(30):
                check(session, graph, x)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures[0]
    check(session, graph, rng.standard_normal((1, 3, 14, 14)).astype(np.float32))


def test_takes_strided_and_dlpack_arrays():
    graph = small_network(2)
    session = thew.InferenceSession(graph)
    x = np.random.default_rng(3).standard_normal((2, 14, 14, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    check(session, graph, x)

    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    (got,) = session.run(None, {"x": Foreign(np.ascontiguousarray(x))})
    (want,) = session.run(["y"], {"x": x})
    np.testing.assert_array_equal(got, want)


class Refusing:
    """An array that cannot be shared, as one that needs its gradient."""

    def __dlpack__(self, **options):
        raise BufferError("needs its gradient")

    def __dlpack_device__(self):
        return 1, 0


@pytest.mark.parametrize(
    ("feeds", "outputs", "message"),
    [
        ({"x": Refusing()}, None, "input 'x': must be an array of fp32, got Refusing: needs its gradient"),
        ({"x": [[1], [1, 2]]}, None, "input 'x': must be an array of fp32, got list"),
        (None, None, "run: inputs must be a mapping of names to arrays, got NoneType"),
        ({"x": np.zeros((2, 3, 14, 14), np.float32)}, "y", "run: names of outputs must be a list, or None for all"),
    ],
)
def test_what_is_no_input_is_refused(feeds, outputs, message):
    with pytest.raises(InputError, match=message):
        thew.InferenceSession(small_network(2)).run(outputs, feeds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"plan": {}}, "plan: must be a plan, or the path of one, got {}"),
        ({"options": "fast"}, "options: must be thew.plan.PlanOptions, got 'fast'"),
        ({"memory_limit_bytes": "1GB"}, "memory_limit_bytes: must be a whole number of bytes, or None"),
        ({"cores": 0}, "cores: must be all, big, little or CPUs"),
        ({"cores": "0-"}, "cores: must be all, big, little or CPUs"),
        ({"cores": "²"}, "cores: must be all, big, little or CPUs"),
    ],
)
def test_what_is_no_argument_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        thew.InferenceSession(small_network(1), **arguments)
    with pytest.raises(ModelError, match="model: must be a path, the bytes of an ONNX model, or one, got list"):
        thew.InferenceSession([])


def test_shapes_of_outputs_do_not_depend_on_what_was_run():
    with nn.init.seeded(0):
        session = thew.InferenceSession(nn.Linear(4, 2).graph(("n", 4)))
    before = session.get_outputs()[0].shape
    session.run(None, {"input": np.zeros((3, 4), np.float32)})
    assert session.get_outputs()[0].shape == before == ["n", 2]
    for shapes, message in (
        ({"inptu": (2, 4)}, "must be one of the model's"),
        ({"input": 2}, "a list of whole numbers"),
    ):
        with pytest.raises(InputError, match=message):
            session.explain(shapes, rounds=0)


def test_an_input_that_cannot_be_copied_is_refused():
    b = GraphBuilder("g")
    x = b.input("x", "fp32", ("n", 2))
    session = thew.InferenceSession(b.graph([b.node("relu", [x], "y")]))
    with pytest.raises(MemoryLimitError):
        session.run(None, {"x": np.broadcast_to(np.float32(1), (1 << 45, 2))})


def test_what_was_run_before_runs_without_checks_anew(monkeypatch):
    """Of arrays of the right dtype, in C order; others still go the long way."""
    session = thew.InferenceSession(small_network(2))
    x = np.ones((2, 3, 14, 14), np.float32)
    (want,) = session.run(None, {"x": x})
    with monkeypatch.context() as without:
        without.delattr(thew.InferenceSession, "_run_slowly")
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], want)
    np.testing.assert_array_equal(session.run(None, {"x": x.transpose(0, 1, 3, 2)})[0], want)


def test_one_native_call_and_known_memory():
    session = thew.InferenceSession(small_network(1))
    executable = session.prepare()
    assert executable.single is not None
    planned = session.peak_memory_bytes
    assert executable.single.program.memory_bytes == planned
    session.run(None, {"x": np.zeros((1, 3, 14, 14), np.float32)})
    assert session.peak_memory_bytes == planned
    assert executable.single.program.memory_bytes == planned


def test_runs_do_not_grow():
    session = thew.InferenceSession(small_network(1))
    feeds = {"x": np.zeros((1, 3, 14, 14), np.float32)}
    session.run(None, feeds)
    tracemalloc.start()
    for _ in range(200):
        session.run(None, feeds)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 20_000


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, ["input 'x'", "got none"]),
        ({"x": np.zeros((1, 3, 14, 14))}, ["input 'x'", "fp32", "float64"]),
        ({"x": np.zeros((1, 4, 14, 14), np.float32)}, ["input 'x'", "axis 1", "3"]),
        ({"x": np.zeros((3, 14, 14), np.float32)}, ["input 'x'", "4 dimensions"]),
        ({"x": np.zeros((1, 3, 14, 14), np.float32), "z": 1}, ["'z'", "leave it out"]),
    ],
)
def test_wrong_inputs_are_typed_errors(feeds, words):
    session = thew.InferenceSession(small_network())
    with pytest.raises(InputError) as caught:
        session.run(None, feeds)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_unknown_output_is_refused():
    session = thew.InferenceSession(small_network(1))
    with pytest.raises(InputError, match="output 'nothing'"):
        session.run(["nothing"], {"x": np.zeros((1, 3, 14, 14), np.float32)})


def test_no_names_ask_for_all_outputs():
    session, x = thew.InferenceSession(small_network(1)), np.ones((1, 3, 14, 14), np.float32)
    for feeds in ({"x": x}, {"x": np.asfortranarray(x)}):
        assert [len(session.run(names, feeds)) for names in (None, [], ())] == [1, 1, 1]


def test_memory_limit():
    with pytest.raises(MemoryLimitError, match="at most 1000 bytes"):
        thew.InferenceSession(small_network(1), memory_limit_bytes=1000)


def test_saved_plan_runs_and_is_refused_elsewhere(tmp_path):
    graph = small_network(1)
    session = thew.InferenceSession(graph)
    path = tmp_path / "small.plan.json"
    session.plan.save(path)
    again = thew.InferenceSession(graph, plan=path)
    x = np.random.default_rng(4).standard_normal((1, 3, 14, 14)).astype(np.float32)
    np.testing.assert_array_equal(again.run(None, {"x": x})[0], session.run(None, {"x": x})[0])
    assert again.plan == session.plan
    with pytest.raises(PlanError, match="for this model"):
        thew.InferenceSession(small_network(1, last="tanh"), plan=path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(PlanError, match="plan the model again"):
        thew.InferenceSession(graph, plan=path)


def test_fp64_computes_in_double():
    graph = small_network(1)
    x = np.random.default_rng(5).standard_normal((1, 3, 14, 14)).astype(np.float32)
    wide = graph.replace(constants={name: array.astype(np.float64) for name, array in graph.constants.items()})
    (want,) = evaluate(wide.replace(inputs=graph.inputs), {"x": x.astype(np.float64)}).values()
    (got,) = thew.InferenceSession(graph, precision="fp64").run(None, {"x": x})
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want.astype(np.float32))


def test_data_dependent_shapes_run_in_parts():
    b = GraphBuilder("dynamic")
    x = b.input("x", "fp32", (6,))
    found = b.node("non_zero", [b.node("relu", [x])])
    picked = b.node("gather", [x, b.node("squeeze", [found, b.constant(np.array([0]))])], axis=0)
    graph = b.graph([b.node("exp", [picked], "y")])
    session = thew.InferenceSession(graph)
    for values in ([1, -1, 2, -2, 3, -3], [-1, -1, -1, -1, -1, 0], [1, 2, 3, 4, 5, 6]):
        array = np.array(values, np.float32)
        (got,) = session.run(None, {"x": array})
        np.testing.assert_allclose(got, np.exp(array[array > 0]), rtol=1e-6)
    notes = [row.algorithm for row in session.explain(rounds=0).rows]
    assert "python" in notes and "deferred" in notes


@pytest.mark.parametrize("isa", facts()["isas"])
def test_every_isa_of_this_cpu(isa):
    graph = small_network(2)
    session = thew.InferenceSession(graph, isa=isa)
    best = next(row.isa for row in target(isa=isa).find("conv", "implicit", "fp32"))  # some ISAs serve few dtypes
    assert all(step.kernel.endswith(f"_{best}") for step in session.prepare({"x": (2, 3, 14, 14)}).plans[0].steps)
    check(session, graph, np.random.default_rng(6).standard_normal((2, 3, 14, 14)).astype(np.float32))


def test_explain_names_what_was_fused():
    explanation = thew.InferenceSession(small_network(1)).explain(rounds=2)
    text = str(explanation)
    assert "residual + relu" in text and "conv_" in text
    assert explanation.rows[0].seconds > 0


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_models_run_natively(dtype):
    from thew.dtypes import to_numpy

    half = to_numpy(dtype)
    rng = np.random.default_rng(7)
    b = GraphBuilder("half")
    x = b.input("x", dtype, (1, 4, 9, 9))
    w = b.constant((rng.standard_normal((8, 4, 3, 3)) / 6).astype(half), "w")
    graph = b.graph([b.node("relu", [b.node("conv", [x, w], strides=(2, 2))], "y")])
    session = thew.InferenceSession(graph)
    assert session.prepare().plans and len(session.prepare().stages) == 1
    array = rng.standard_normal((1, 4, 9, 9)).astype(half)
    (got,) = session.run(None, {"x": array})
    assert got.dtype == half
    (want,) = evaluate(graph, {"x": array}).values()
    # One rounding of the result to half, either way: a unit in the last place.
    epsilon = float(np.float32(2.0) ** (-10 if dtype == "fp16" else -7))
    np.testing.assert_allclose(got.astype(np.float32), want.astype(np.float32), rtol=2 * epsilon, atol=epsilon / 8)


@pytest.mark.parametrize("batch", [1, 2, 5, 6, 16])
@pytest.mark.parametrize("fixed", [False, True])
def test_throughput_mode_agrees_whatever_the_batch(batch, fixed):
    graph = small_network(batch if fixed else "n")
    session = thew.InferenceSession(graph, threads=2, mode="throughput")
    x = np.random.default_rng(batch).standard_normal((batch, 3, 14, 14)).astype(np.float32)
    check(session, graph, x)
    check(session, graph, x)
    (whole,) = thew.InferenceSession(graph, threads=1).run(None, {"x": x})
    (parts,) = session.run(None, {"x": x})
    np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-6)  # the same sums, cut elsewhere
    assert session.plan.inputs[0].type.shape[0] < batch or batch == 1
    assert session.peak_memory_bytes > 0


@pytest.mark.parametrize(
    ("mode", "batch", "part"), [("auto", 3, 3), ("auto", 4, 1), ("throughput", 3, 1), ("latency", 4, 4)]
)
def test_modes_cut_batches_or_do_not(mode, batch, part):
    graph = small_network()
    session = thew.InferenceSession(graph, threads=2, mode=mode)
    check(session, graph, np.random.default_rng(5).standard_normal((batch, 3, 14, 14)).astype(np.float32))
    assert session.plan.inputs[0].type.shape[0] == part
    assert session.plan.threads == (2 if part == batch else 1)


def test_throughput_mode_keeps_together_what_depends_on_the_batch():
    b = GraphBuilder("mixed")
    graph = b.graph([b.node("softmax", [b.input("x", "fp32", ("n", 5))], "y", axis=0)])
    session = thew.InferenceSession(graph, threads=2, mode="throughput")
    (y,) = session.run(None, {"x": np.ones((4, 5), np.float32)})
    np.testing.assert_allclose(y, np.full((4, 5), 0.25), rtol=1e-6)
    with pytest.raises(InputError, match="mode"):
        thew.InferenceSession(graph, mode="speed")


def test_the_caller_stays_on_the_chosen_cores_and_is_let_go():
    before = os.sched_getaffinity(0)
    core = max(before)
    session = thew.InferenceSession(small_network(size=64), threads=1, cores=str(core))
    x = {"x": np.zeros((4, 3, 64, 64), np.float32)}
    seen, done, caller = set(), threading.Event(), threading.get_native_id()

    def watch():
        while not done.is_set():
            seen.add(frozenset(os.sched_getaffinity(caller)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(1000):
        session.run(None, x)
        if frozenset({core}) in seen:
            break
    done.set()
    watcher.join()
    assert frozenset({core}) in seen
    assert seen <= {frozenset({core}), frozenset(before)}
    assert os.sched_getaffinity(0) == before


def test_threads_by_default_are_those_granted(monkeypatch):
    cores = device.granted_threads()
    assert 1 <= cores <= len(os.sched_getaffinity(0))
    real = device.facts()
    for quota, threads in ((0.0, cores), (0.5, 1), (1.9, 1), (2.0, min(2, cores)), (64.0, cores)):
        monkeypatch.setattr(device, "facts", lambda quota=quota: {**real, "quota": quota})
        assert device.granted_threads() == threads
        assert thew.InferenceSession(small_network(1)).plan.threads == threads
    assert device.granted_threads([min(os.sched_getaffinity(0))]) == 1


def test_a_limit_of_memory_chooses_a_leaner_plan(tmp_path):
    """And weights that are given up as they are packed leave the results as they are."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder("wide")
    x = builder.input("x", "fp32", (1, 64, 24, 24))
    for _ in range(2):
        weight = rng.standard_normal((64, 64, 3, 3)).astype(np.float32)
        x = builder.node("conv", [x, builder.constant(weight)], pads=(1, 1, 1, 1))
    thew.export_onnx(builder.graph([x]), tmp_path / "wide.onnx")
    feeds = {"x": rng.standard_normal((1, 64, 24, 24)).astype(np.float32)}
    free = thew.InferenceSession(tmp_path / "wide.onnx", threads=1)
    lean = thew.InferenceSession(
        tmp_path / "wide.onnx", threads=1, memory_limit_bytes=free.peak_memory_bytes - 64 * 64 * 4
    )
    assert "winograd" in {step.algorithm.split("_")[0] for step in free.plan.steps}
    assert lean.peak_memory_bytes < free.peak_memory_bytes
    (expected,) = evaluate(builder.graph([x]), feeds).values()
    for session in (free, lean):
        (got,) = session.run(None, feeds)
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-4 * np.abs(expected).max())
