"""``thew quickstart``: the main job on data that needs no download.

First LeNet-5 learns digits that are drawn here, is exported to ONNX, planned and run: what it has learnt must hold for
digits that it has not seen, and the exported network must say what the trained one says. Then networks of the zoo with
seeded weights run on pictures drawn here, at several batch sizes and numbers of threads.
Batch norm's statistics are taken from the pictures first, so that the signal keeps its size through every layer as
in a trained network. Results are checked against NumPy: 64 pictures through LeNet-5, one through
each of the others.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from thew.cli import show
from thew.cli.options import Common
from thew.errors import Error

if TYPE_CHECKING:
    from thew.ir import Graph
    from thew.ir.graph import Array
    from thew.nn import Module

NETWORKS = (("lenet5", 28, (1, 64)), ("mobilenet_v2", 224, (1, 8)), ("resnet50", 224, (1, 4)))  # name, size, batches
CHECKED = {"lenet5": 64, "mobilenet_v2": 1, "resnet50": 1}  # pictures that the NumPy references also compute
CALIBRATED = 64  # size of the pictures that calibrate: small ones do
SECONDS = 0.7  # of timed runs for each line of the table
LEARNT, UNSEEN, EPOCHS, BATCH = 3000, 500, 4, 64  # drawn digits
LEAST_ACCURACY = 0.9  # what every seed reaches by far; guessing gives 0.1
FURTHER = "from training to a plan: thew dqn train CartPole-v1 --export policy.onnx, thew search policy.onnx"
# The segments of each digit, as on a clock: top, upper left and right, middle, lower left and right, bottom.
SEGMENTS = (
    "1110111",
    "0010010",
    "1011101",
    "1011011",
    "0111010",
    "1101011",
    "1101111",
    "1010010",
    "1111111",
    "1111011",
)
# Where they lie in a picture of 28 by 28: rows and columns.
STROKES = (
    ((4, 6), (9, 19)), ((5, 14), (8, 10)), ((5, 14), (18, 20)), ((13, 15), (9, 19)), ((14, 23), (8, 10)),
    ((14, 23), (18, 20)), ((22, 24), (9, 19)),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    network: str
    batch: int
    threads: int
    milliseconds: float
    pictures_per_second: float
    gflops_per_second: float
    peak_memory_bytes: int
    error: float | None


def quickstart(common: Common) -> None:
    """Trains, exports, plans and runs a network on drawn digits; runs three on drawn pictures, and shows a table."""
    import thew

    counts = sorted({1, common.threads} if common.threads > 1 else {1, min(2, len(os.sched_getaffinity(0)))})
    show.note(
        f"thew {thew.__version__}: networks with seeded weights on drawn pictures; numbers are of this machine, now"
    )
    learnt, accuracy = learn(common)
    rows: list[Row] = [learnt]
    with show.progress("quickstart", len(NETWORKS) * len(counts) * 2) as bar:
        for name, size, batches in NETWORKS:
            for row in _measure(name, size, batches, counts, common):
                rows.append(row)
                bar.advance(name)
    if common.json:
        show.as_json([asdict(row) for row in rows])
    else:
        _table(rows)
        show.line(f"{100 * accuracy:.1f} % of digits that it has not seen are told right by the exported LeNet-5")
        show.line(FURTHER)
    if accuracy < LEAST_ACCURACY:
        raise Error(
            f"quickstart: LeNet-5 must tell {LEAST_ACCURACY:.0%} of drawn digits, got {accuracy:.0%}; please report it "
            "with the output of thew doctor"
        )
    for row in rows:
        if row.error is not None and not row.error <= tolerance():
            raise Error(
                f"quickstart: outputs of {row.network} must agree with NumPy within {tolerance():.1e}, got "
                f"{row.error:.1e}; please report it with the output of thew doctor"
            )


def tolerance() -> float:
    """What separates two ways of rounding a network of some sixty layers in fp32, relative to the largest output.

    Each layer's sums of k products err by about √k ε at random; sixty layers of √1000 give 60 · 32 · 1.2e-7.
    """
    return 60 * 32 * 2.0**-23


def learn(common: Common) -> tuple[Row, float]:
    """Trains LeNet-5 on drawn digits, exports it, and runs the export: a line of the table, and its accuracy."""
    import numpy as np

    import thew

    x, y = digits(LEARNT + UNSEEN, common.seed)
    precision = common.precision if common.precision in thew.train.PRECISIONS else "fp32"
    trainer = thew.Trainer(
        thew.models.lenet5(seed=common.seed), "cross_entropy", thew.optim.SGD(lr=0.05, momentum=0.9), x.shape[1:],
        precision, common.threads, common.seed, schedule=thew.optim.OneCycle(EPOCHS * -(-LEARNT // BATCH)),
    )  # fmt: skip
    history = trainer.fit((x[:LEARNT], y[:LEARNT]), EPOCHS, BATCH, progress=False)
    plan = trainer.prepare(BATCH).executable.plans[0]
    with tempfile.TemporaryDirectory(prefix="thew-quickstart-") as folder:
        path = os.path.join(folder, "lenet5.onnx")
        thew.export_onnx(trainer.model, path, input_shape=("n", *x.shape[1:]))
        session = thew.InferenceSession(path, threads=common.threads)
    (scores,) = session.run(None, {"input": x[LEARNT:]})
    rate = max(history["samples_per_second"])
    seconds, apart = BATCH / rate, difference(scores, trainer.predict(x[LEARNT:]))
    gflops, memory = plan.flops / seconds / 1e9, trainer.peak_memory_bytes
    row = Row("lenet5, training", BATCH, common.threads, seconds * 1e3, rate, gflops, memory, apart)
    return row, float(np.mean(scores.argmax(1) == y[LEARNT:]))


def digits(count: int, seed: int) -> tuple[Array, Array]:
    """Digits of seven segments, shifted, bright or dim, in noise: (count, 1, 28, 28) float32, and which they are."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shapes = np.zeros((10, 28, 28), np.float32)
    for shape, segments in zip(shapes, SEGMENTS, strict=True):
        for lit, (rows, columns) in zip(segments, STROKES, strict=True):
            shape[slice(*rows), slice(*columns)] += lit == "1"
    y = generator.integers(0, 10, count)
    x = generator.normal(0, 0.4, (count, 1, 28, 28)).astype(np.float32)
    bright, shifts = generator.uniform(0.6, 1.4, count), generator.integers(-3, 4, (count, 2))
    for picture, digit, light, shift in zip(x, y, bright, shifts, strict=True):
        picture[0] += light * np.roll(np.minimum(shapes[digit], 1), shift, (0, 1))
    return x, y


def _measure(name: str, size: int, batches: Sequence[int], counts: Sequence[int], common: Common) -> Iterator[Row]:
    import thew

    model = thew.models.build(name, seed=common.seed)
    channels = thew.models.ZOO[name].input_shape[0]
    images = pictures(max(batches), channels, size, common.seed)
    calibrate(model, pictures(2, channels, min(size, CALIBRATED), common.seed))
    graph = model.graph(("n", channels, size, size), name=name)
    wanted = _reference(graph, images[: CHECKED[name]]) if name in CHECKED else None
    for threads in counts:
        session = thew.InferenceSession(graph, threads=threads, precision=common.precision)
        for batch in batches:
            feeds = {"input": images[:batch]}
            (output,) = session.run(None, feeds)
            seconds = _fastest(session, feeds)
            flops = session.plan.flops
            error = None if wanted is None else difference(output, wanted)
            rate, memory = flops / seconds / 1e9, session.peak_memory_bytes
            yield Row(name, batch, threads, seconds * 1e3, batch / seconds, rate, memory, error)


def _fastest(session: Any, feeds: dict[str, Array]) -> float:
    best, until = float("inf"), time.perf_counter() + SECONDS
    while True:
        started = time.perf_counter()
        session.run(None, feeds)
        ended = time.perf_counter()
        best = min(best, ended - started)
        if ended > until:
            return best


def _reference(graph: Graph, images: Array) -> Array:
    from thew.ops.interpret import evaluate

    return evaluate(graph, {"input": images})[graph.outputs[0]]


def difference(got: Array, wanted: Array) -> float:
    """The largest difference over the largest magnitude wanted, over the samples that both hold."""
    import numpy as np

    count = min(len(got), len(wanted))
    return float(np.abs(got[:count] - wanted[:count]).max() / np.abs(wanted[:count]).max())


def pictures(count: int, channels: int, size: int, seed: int) -> Array:
    """Waves and discs, of mean 0 and deviation 1: (count, channels, size, size) float32."""
    import numpy as np

    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    result = np.empty((count, channels, size, size), np.float32)
    for picture in result:
        for plane in picture:
            waves = generator.uniform(1, 8, (3, 2))
            plane[...] = sum(np.sin(6.28 * (a * x + b * y)) for a, b in waves)
        for _ in range(4):
            centre, radius = generator.uniform(0, 1, 2), generator.uniform(0.05, 0.3)
            inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
            picture[:, inside] += generator.uniform(-3, 3, (channels, 1)).astype(np.float32)
    result -= result.mean()
    result /= result.std()
    return result


def calibrate(model: Module, images: Array) -> None:
    """Sets every batch norm's running statistics to those of these images.

    The training graph normalises by the batch, so that one run shows what each batch norm is fed when all are set.
    """
    import numpy as np

    from thew import nn
    from thew.ops.interpret import evaluate

    graph = model.graph(images.shape, training=True)
    fed = {node.name: node.inputs[0] for node in graph.nodes if node.op == "batch_normalization"}
    if not fed:
        return
    values = evaluate(graph.replace(outputs=tuple(fed.values())), {"input": images})
    for path, norm in model.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean[...] = values[fed[path]].mean((0, 2, 3), dtype=np.float64)
            norm.running_var[...] = values[fed[path]].var((0, 2, 3), dtype=np.float64)


def _table(rows: Sequence[Row]) -> None:
    columns = ("network", "batch", "threads", "ms", "pictures/s", "GFLOP/s", "peak memory", "difference from NumPy")
    cells = [
        [
            row.network,
            row.batch,
            row.threads,
            f"{row.milliseconds:.4g}",
            f"{row.pictures_per_second:.1f}",
            f"{row.gflops_per_second:.1f}",
            show.size(row.peak_memory_bytes),
            "-" if row.error is None else f"{row.error:.1e}",
        ]
        for row in rows
    ]
    show.table("Thew on this machine", columns, cells)
