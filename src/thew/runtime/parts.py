"""Throughput: a batch cut into parts that run at once, each on one thread, by one plan whose weights all share.

No thread waits for another between two layers, and what a part passes from layer to layer stays in its core's caches.
Latency mode, where all threads work on each layer, answers a single image sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thew.errors import MemoryLimitError, ShapeError, UnsupportedError
from thew.ir import Graph, TensorType, Value
from thew.ir.graph import Array
from thew.plan.batch import is_separable, part_size
from thew.runtime.executable import Executable, NativeStage, Settings, prepare_graph
from thew.runtime.native import buffer_of


@dataclass
class PartedStage(NativeStage):
    """A plan for part of a batch, run on all parts."""

    parts: int
    threads: int
    cpus: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.results = tuple(((shape[0] * self.parts, *shape[1:]), dtype) for shape, dtype in self.results)

    @property
    def peak_memory_bytes(self) -> int:
        """The plan's bytes, its arena once a thread."""
        plan = self.plan
        return plan.peak_memory_bytes + (min(self.threads, self.parts) - 1) * (plan.arena_bytes + plan.scratch_bytes)

    def call(self, arrays: list[Array]) -> list[Array]:
        """Outputs for inputs that are C-contiguous, of the whole batch and of the planned dtypes."""
        outputs = [np.empty(shape, dtype) for shape, dtype in self.results]
        self.program.run_parts((*arrays, *outputs), self.parts, self.threads, self.cpus)
        return outputs

    def run(self, values: dict[str, Any], call: Any = None) -> None:
        """Computes the outputs of the whole batch."""
        arrays = [buffer_of(np.ascontiguousarray(values[name])) for name in self.inputs]
        values.update(zip(self.outputs, self.call(arrays), strict=True))


def executable_in_parts(
    graph: Graph, types: Mapping[str, TensorType], settings: Settings, threads: int, least_batch: int
) -> Executable | None:
    """The graph made ready to run in parts; None where its images depend on one another, or it is no single plan.

    Args:
        graph: not yet specialised.
        types: of the whole batch.
        settings: for one thread.
        threads: workers that share the parts.
        least_batch: fewer images are not cut.
    """
    shapes = [known.static_shape for known in types.values()]
    batch = shapes[0][0] if shapes and shapes[0] else 0
    options = settings.options
    if batch < max(2, least_batch) or threads < 2 or not is_separable(prepare_graph(graph, types, options), batch):
        return None
    size = part_size(batch, threads)
    of_part = {name: TensorType(known.dtype, (size, *known.static_shape[1:])) for name, known in types.items()}
    part = graph.replace(inputs=tuple(Value(name, known) for name, known in of_part.items()), types={})
    try:
        if not is_separable(prepare_graph(part, of_part, options), size):
            return None
        executable = Executable(part, of_part, replace(settings, cpus=()))
    except (ShapeError, UnsupportedError):  # a shape of the whole batch is written into the model
        return None
    stage = executable.single
    if stage is None:
        return None
    parted = PartedStage(stage.plan, stage.program, batch // size, threads, settings.cpus)
    limit = settings.memory_limit_bytes
    if limit is not None and parted.peak_memory_bytes > limit:
        raise MemoryLimitError(
            f"graph '{graph.name}': memory must be at most {limit} bytes, {threads} parts at once need "
            f"{parted.peak_memory_bytes}; raise memory_limit_bytes or use fewer threads"
        )
    executable.stages, executable.single = [parted], parted
    return executable
