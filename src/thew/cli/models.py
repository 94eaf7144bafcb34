"""What a command line calls a model: a path to an ONNX file, the name of a network of the zoo (``resnet50``,
``zoo:resnet50``), or one of those that benchmarks have beside it (``bench:fsrcnn``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thew.errors import InputError, ModelError
from thew.ir import Graph


def load(model: str, seed: int = 0, batch: int | None = None) -> Graph | str:
    """What `InferenceSession` takes for a name from the command line; a file wins over a name of the zoo."""
    from thew.models import ZOO, build

    if model.startswith("bench:"):
        return _of_benchmarks(model.removeprefix("bench:"), seed, batch)
    name = model.removeprefix("zoo:")
    if not model.startswith("zoo:") and Path(model).exists():
        return model
    if name in ZOO:
        shape = ZOO[name].input_shape
        return build(name, seed=seed).graph(("n" if batch is None else batch, *shape), name=name)
    raise ModelError(
        f"model '{model}': must be an ONNX file or one of the zoo ({', '.join(ZOO)}), got neither; check the path"
    )


def _of_benchmarks(name: str, seed: int, batch: int | None) -> Graph:
    from thew.bench.networks import NETWORKS

    if name not in NETWORKS:
        raise ModelError(f"model 'bench:{name}': must be one of {', '.join(NETWORKS)}; check the name")
    return NETWORKS[name].graph(name, seed, "n" if batch is None else batch)


def as_file(model: str, folder: str, seed: int, batch: int, size: int | None) -> tuple[str, dict[str, Any], int]:
    """The model as an ONNX file for everybody, its input shapes, and the operations of one inference."""
    import thew

    source = load(model, seed, batch)
    if isinstance(source, str):
        path = source
    else:
        path = str(Path(folder) / "model.onnx")
        thew.export_onnx(source, path)
    session = thew.InferenceSession(path)
    shapes = {d.name: (dtype_name(d.type), shape_of(d, batch, size)) for d in session.get_inputs()}
    plans = session.prepare({name: shape for name, (_, shape) in shapes.items()}).plans
    return path, shapes, sum(plan.flops for plan in plans)


def shape_of(declared: Any, batch: int = 1, size: int | None = None) -> tuple[int, ...]:
    """The shape to feed an input: an unknown extent in front is the batch, any other is `size` or 224."""
    if declared.shape is None:
        raise InputError(
            f"input '{declared.name}': the model leaves even its rank open; give it a .npy file with thew run"
        )
    return tuple(
        extent if isinstance(extent, int) and extent > 0 else batch if axis == 0 else (size or 224)
        for axis, extent in enumerate(declared.shape)
    )


def dtype_name(declared: str) -> str:
    """Thew's word for an input's type as a session tells it (``tensor(float)``)."""
    bare = declared.removeprefix("tensor(").removesuffix(")")
    return {"float": "fp32", "double": "fp64", "float16": "fp16", "bfloat16": "bf16"}.get(bare, bare)


def random_feeds(inputs: Sequence[Any], seed: int, batch: int = 1, size: int | None = None) -> dict[str, Any]:
    """Seeded arrays for all inputs: normal numbers, or small integers."""
    import numpy as np

    from thew.dtypes import to_numpy

    generator, feeds = np.random.default_rng(seed), {}
    for declared in inputs:
        shape, dtype = shape_of(declared, batch, size), to_numpy(dtype_name(declared.type))
        is_integer = np.issubdtype(dtype, np.integer) or dtype == np.bool_
        feeds[declared.name] = (
            generator.integers(0, 2, shape) if is_integer else generator.standard_normal(shape)
        ).astype(dtype)
    return feeds
