"""Two sessions under four Python threads for a long time: right results, no growth of memory, no work when idle."""

import gc
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import thew
from thew.ir import GraphBuilder
from thew.ops.interpret import evaluate

THREADS = 4
GROWTH_BYTES = 4 << 20  # a leak of one small array a run would be several times that after ten thousand runs
IDLE_SHARE = 0.01
ROUNDS = 3  # what leaks or spins does so in each; what other tests of the process left behind does not


def network(seed, channels):
    rng = np.random.default_rng(seed)
    b = GraphBuilder("soak")
    x = b.input("x", "fp32", ("n", 3, 20, 20))
    weights = [rng.standard_normal(s).astype(np.float32) / 5 for s in ((channels, 3, 3, 3), (channels, channels, 3, 3))]
    y = b.node("relu", [b.node("conv", [x, b.constant(weights[0])], pads=(1, 1, 1, 1))])
    y = b.node("add", [b.node("conv", [y, b.constant(weights[1])], pads=(1, 1, 1, 1)), y])
    return b.graph([b.node("global_average_pool", [y], "y")])


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Soak:
    def __init__(self):
        graphs = [network(0, 16), network(1, 24)]
        self.sessions = [thew.InferenceSession(graph, threads=2) for graph in graphs]
        rng = np.random.default_rng(2)
        self.cases = []
        for index, graph in enumerate(graphs):
            for batch in (1, 3):
                x = rng.standard_normal((batch, 3, 20, 20)).astype(np.float32)
                self.cases.append((index, x, evaluate(graph, {"x": x})["y"]))
        self.failures = []

    def runs(self, thread, count):
        for i in range(count):
            index, x, want = self.cases[(thread + i) % len(self.cases)]
            (got,) = self.sessions[index].run(None, {"x": x})
            # Means over 400 sums of at most 9 · 24 products of about a unit.
            if not np.allclose(got, want, rtol=1e-4, atol=1e-5):
                self.failures.append((thread, i))

    def at_once(self, count):
        workers = [threading.Thread(target=self.runs, args=(thread, count)) for thread in range(THREADS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not self.failures


def soak(total):
    soaked = Soak()
    soaked.at_once(max(20, total // THREADS // 10))  # arenas for the most that ever run at once, the allocator's pools
    assert min(growth(soaked, total) for _ in range(ROUNDS)) < GROWTH_BYTES
    assert min(idle_share() for _ in range(ROUNDS)) < IDLE_SHARE


def growth(soaked, total):
    gc.collect()
    before = resident_bytes()
    soaked.at_once(total // THREADS)
    gc.collect()
    return resident_bytes() - before


def idle_share():
    time.sleep(0.05)  # workers spin for some tens of microseconds before they sleep
    spent, started = time.process_time(), time.perf_counter()
    time.sleep(0.5)
    return (time.process_time() - spent) / (time.perf_counter() - started)


def test_soak():
    soak(400)


@pytest.mark.slow
def test_soak_of_ten_thousand_runs():
    soak(10_000)
