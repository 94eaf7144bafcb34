"""``thew run``: a model on pictures or arrays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thew.cli import models, show
from thew.cli.options import Common, Without
from thew.errors import InputError

if TYPE_CHECKING:
    from thew.cli.images import Preprocess
    from thew.ir.graph import Array

ARRAYS = frozenset({".npy", ".npz"})


def run(
    common: Common,
    model: Annotated[str, typer.Argument(help="An ONNX file, or a network of the zoo such as lenet5.")],
    input: Annotated[
        list[Path] | None, typer.Option("--input", "-i", help="Pictures, .npy or .npz files, or folders.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Names of classes: .txt, .json or .csv; ImageNet's for 1000 or 1001 classes.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 5,
    preprocess: Annotated[
        str, typer.Option(help="auto, imagenet, tf ((x-128)/128), caffe, unit (x/255) or none.")
    ] = "auto",
    mean: Annotated[str | None, typer.Option(help="Means of the channels, as 104,117,123, after --scale.")] = None,
    std: Annotated[str | None, typer.Option(help="Deviations of the channels, after --scale.")] = None,
    scale: Annotated[float | None, typer.Option(help="Factor on 0..255 before mean and std.")] = None,
    channels: Annotated[str | None, typer.Option(help="rgb or bgr.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Height and width where the model leaves them open.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at a time where the model leaves it open.")] = 1,
    plan: Annotated[Path | None, typer.Option(help="Follow this saved plan.")] = None,
    replan: Annotated[bool, typer.Option("--replan", help="Adapt a plan for another device or version.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write all outputs to this .npz file.")] = None,
    mode: Annotated[
        str, typer.Option(help="latency; throughput: a batch in parts, one a thread; or auto.")
    ] = "latency",
    without: Without = None,
) -> None:
    """Runs a model and shows the best classes; without --input, on random numbers."""
    import thew
    from thew.cli.labels import default_labels, read_labels
    from thew.plan import PlanOptions

    names = read_labels(labels) if labels else None
    session = thew.InferenceSession(
        models.load(model, common.seed),
        threads=common.threads,
        precision=common.precision,
        plan=plan,
        replan=replan,
        mode=mode,
        options=PlanOptions.without(without) if without else None,
    )
    files = list(_files(input or []))
    started = time.perf_counter()
    if not files or files[0].suffix in ARRAYS:
        results = _run_arrays(session, files, common.seed, size, batch)
    else:
        shape = models.shape_of(session.get_inputs()[0], batch, size)
        chosen = _preprocess(preprocess, mean, std, scale, channels, shape, _classes(session))
        results = _run_pictures(session, files, shape, chosen)
    seconds = time.perf_counter() - started
    if names is None:
        names = default_labels(results[0][1][0][0].size if results[0][1][0].ndim > 1 else 0)
    _show(results, names, top, common.json, seconds)
    if output is not None:
        _save(output, results)


def _files(given: Sequence[Path]) -> Iterator[Path]:
    from thew.cli.images import SUFFIXES

    for path in given:
        if path.is_dir():
            found = sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES | ARRAYS)
            if not found:
                raise InputError(f"input '{path}': the folder must hold pictures or arrays, got none")
            yield from found
        elif not path.exists():
            raise InputError(f"input '{path}': must be a file or a folder, got neither; check the path")
        else:
            yield path


def _classes(session: Any) -> int:
    extents = session.get_outputs()[0].shape or [0]
    counts = [extent for extent in extents[1:] if isinstance(extent, int) and extent > 1]
    return counts[-1] if counts else 0


def _preprocess(
    name: str,
    mean: str | None,
    std: str | None,
    scale: float | None,
    channels: str | None,
    shape: Sequence[int],
    classes: int,
) -> Preprocess:
    import dataclasses

    from thew.cli.images import PRESETS, guess

    if len(shape) != 4:
        raise InputError(f"input: pictures need a model of input (n, c, h, w), got {tuple(shape)}; give a .npy file")
    if name == "auto":
        name = guess(tuple(shape), classes)
        show.note(f"preprocessing: {name} (guessed; --preprocess chooses)")
    if name not in PRESETS:
        raise InputError(f"--preprocess: must be auto, {', '.join(PRESETS)}, got {name!r}")
    if channels not in (None, "rgb", "bgr"):
        raise InputError(f"--channels: must be rgb or bgr, got {channels!r}")
    changes: dict[str, Any] = {"mean": _numbers("--mean", mean), "std": _numbers("--std", std), "scale": scale}
    changes["channels"] = channels
    return dataclasses.replace(PRESETS[name], **{key: value for key, value in changes.items() if value is not None})


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option}: must be numbers with commas such as 104,117,123, got {text!r}") from None
    if len(numbers) not in (1, 3):
        raise InputError(f"{option}: must be 1 or 3 numbers, got {len(numbers)}")
    return numbers


Result = tuple[str, "list[Array]"]  # where it came from, and the outputs


def _run_pictures(session: Any, files: Sequence[Path], shape: Sequence[int], preprocess: Preprocess) -> list[Result]:
    import numpy as np

    from thew.cli.images import read

    name, results = session.get_inputs()[0].name, []
    with show.progress("running", len(files)) as bar:
        for start in range(0, len(files), shape[0]):
            group = files[start : start + shape[0]]
            stacked = np.stack([read(path, tuple(shape), preprocess) for path in group])
            short = shape[0] - len(group)
            if short and isinstance(session.get_inputs()[0].shape[0], int):  # a fixed batch: fill up, and drop later
                stacked = np.concatenate([stacked, np.repeat(stacked[-1:], short, 0)])
            outputs = session.run(None, {name: stacked})
            for index, path in enumerate(group):
                results.append((str(path), [array[index : index + 1] for array in outputs]))
                bar.advance()
    return results


def _run_arrays(session: Any, files: Sequence[Path], seed: int, size: int | None, batch: int) -> list[Result]:
    inputs = session.get_inputs()
    if not files:
        return [("random numbers", session.run(None, models.random_feeds(inputs, seed, batch, size)))]
    results = []
    with show.progress("running", len(files)) as bar:
        for path in files:
            results.append((str(path), session.run(None, _feeds(path, inputs))))
            bar.advance()
    return results


def _feeds(path: Path, inputs: Sequence[Any]) -> Mapping[str, Array]:
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = dict(loaded) if path.suffix == ".npz" else {inputs[0].name: loaded}
    except (ValueError, EOFError) as failure:
        raise InputError(f"input '{path}': must be an array file, got {failure}") from None
    names = [declared.name for declared in inputs]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(
            f"input '{path}': must hold {', '.join(names)}, got {', '.join(arrays)}; name arrays after the inputs"
        )
    return {name: arrays[name] for name in names}


def _show(results: Sequence[Result], names: Mapping[int, str], top: int, json: bool, seconds: float) -> None:
    rows = [row for source, outputs in results for row in _best(source, outputs, names, top)]
    if json:
        show.as_json({"seconds": seconds, "results": rows})
        return
    for row in rows:
        if "classes" in row:
            best = "  ".join(f"{entry['score']:.4g} {entry['name']}" for entry in row["classes"])
            show.line(f"{row['source']}: {best}")
        else:
            show.line(f"{row['source']}: outputs {', '.join(map(str, row['shapes']))}")
    show.note(f"{len(results)} inputs in {seconds:.2f} s, reading included")


def _best(source: str, outputs: Sequence[Array], names: Mapping[int, str], top: int) -> Iterator[dict[str, Any]]:
    """The best classes of each sample, where the first output is (n, classes …)."""
    import numpy as np

    from thew.cli.labels import offset

    first = outputs[0]
    if first.ndim < 2 or first[0].size < 2 or first[0].size != max(first.shape[1:]):
        yield {"source": source, "shapes": [list(array.shape) for array in outputs]}
        return
    shift = offset(first[0].size, names)
    for scores in first.reshape(first.shape[0], -1):
        order = np.argsort(-scores, kind="stable")
        order = order[order >= shift][:top] - shift
        classes = [
            {"class": int(c), "name": names.get(int(c), f"class {c}"), "score": float(scores[c + shift])} for c in order
        ]
        yield {"source": source, "classes": classes}


def _save(path: Path, results: Sequence[Result]) -> None:
    import numpy as np

    count = len(results[0][1])
    arrays: dict[str, Any] = {f"output{i}": np.concatenate([outs[i] for _, outs in results]) for i in range(count)}
    np.savez_compressed(path, **arrays)
