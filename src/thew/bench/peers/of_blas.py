"""A network on BLAS in fp32: explicit im2col, OpenBLAS's product, nothing fused (`thew.search.blas`)."""

from __future__ import annotations

from collections.abc import Mapping

from thew.bench.peers import Ready
from thew.bench.tasks import ModelTask, Task

VERSION_OF = ("numpy", "scipy_openblas32")


def environment(threads: int) -> Mapping[str, str]:
    """For NumPy's own BLAS, which serves where the wheel is not installed."""
    return {"OPENBLAS_NUM_THREADS": str(threads)}


def prepare(task: Task) -> Ready | None:
    """The network with its buffers."""
    if not isinstance(task, ModelTask):
        return None
    from thew.ir import TensorType
    from thew.onnx import read
    from thew.search.blas import BlasNetwork

    types = {name: TensorType(dtype, tuple(shape)) for name, (dtype, shape) in task.shapes.items()}
    network, feeds = BlasNetwork(read(task.path), types, task.threads), task.feeds()
    settings = {"library": network.library, "planned_memory_bytes": network.memory_bytes}
    return Ready(lambda: list(network.run(feeds)), settings)
