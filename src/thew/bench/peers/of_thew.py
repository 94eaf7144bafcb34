"""Thew itself."""

from __future__ import annotations

from collections.abc import Mapping

from thew.bench.peers import Ready
from thew.bench.tasks import MatmulTask, ModelTask, OverheadTask, Task

VERSION_OF = ("thew",)


def environment(threads: int) -> Mapping[str, str]:
    """Nothing: threads are an argument."""
    return {}


def prepare(task: Task) -> Ready | None:
    """A session."""
    import thew
    from thew.ir import GraphBuilder

    feeds = task.feeds()
    if isinstance(task, MatmulTask):
        builder = GraphBuilder("matmul")
        names = [builder.input(name, task.precision, array.shape) for name, array in feeds.items()]
        session = thew.InferenceSession(builder.graph([builder.node("matmul", names)]), threads=task.threads)
    elif isinstance(task, ModelTask | OverheadTask):
        session = thew.InferenceSession(task.path, threads=task.threads)
    else:
        return None
    session.run(None, feeds)
    return Ready(lambda: session.run(None, feeds), {"planned_memory_bytes": session.peak_memory_bytes})
