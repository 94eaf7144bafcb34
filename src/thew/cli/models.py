"""What a command line calls a model: a path to an ONNX file, or the name of a network of the zoo (``resnet50``, ``zoo:resnet50``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thew.errors import ModelError
from thew.ir import Graph


def load(model: str, seed: int = 0, batch: int | None = None) -> Graph | str:
    """What `InferenceSession` takes for a name from the command line; a file wins over a name of the zoo."""
    from thew.models import ZOO, build

    name = model.removeprefix("zoo:")
    if not model.startswith("zoo:") and Path(model).exists():
        return model
    if name in ZOO:
        shape = ZOO[name].input_shape
        return build(name, seed=seed).graph(("n" if batch is None else batch, *shape), name=name)
    raise ModelError(f"model '{model}': must be an ONNX file or one of the zoo ({', '.join(ZOO)}), got neither; check the path")


def input_shape(session: Any, batch: int = 1, size: int | None = None) -> tuple[int, ...]:
    """The shape to feed the first input: symbols become the batch in front, and `size` or 224 behind."""
    declared = session.get_inputs()[0].shape
    return tuple(
        extent if isinstance(extent, int) and extent > 0 else batch if axis == 0 else (size or 224)
        for axis, extent in enumerate(declared)
    )


def numpy_dtype(name: str) -> Any:
    """NumPy's dtype for an input's type, in Thew's words (``fp32``) or ONNX Runtime's (``tensor(float)``)."""
    from thew.dtypes import to_numpy

    known = {"float": "fp32", "double": "fp64", "float16": "fp16", "bfloat16": "bf16"}
    bare = name.removeprefix("tensor(").removesuffix(")")
    return to_numpy(known.get(bare, bare))


def as_mapping(row: Any) -> dict[str, Any]:
    """A row of `explain` as a dictionary."""
    import dataclasses

    return dataclasses.asdict(row)
