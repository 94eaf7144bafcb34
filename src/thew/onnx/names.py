"""The names of ops: ONNX's `AveragePool` is our `average_pool`."""

from __future__ import annotations

from functools import lru_cache

from thew import ops


@lru_cache(maxsize=1)
def _own_names() -> dict[str, str]:
    # Compared without underscores: where words part (matmul, prelu, log_softmax) is the registry's choice.
    return {name.replace("_", ""): name for name in ops.names()}


def op_name(op_type: str) -> str | None:
    """The op of ours for an ONNX operator, or None."""
    return _own_names().get(op_type.lower())
