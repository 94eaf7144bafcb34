"""`Plan`: a flat list of kernel calls over one arena. Immutable, printable, and a JSON file beside the model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from thew._version import __version__
from thew.dtypes import size_bytes
from thew.errors import ModelError, PlanError
from thew.files import write_atomically
from thew.ir import TensorType, Value
from thew.passes.requantise import Quantisation
from thew.plan.choices import Choices, choice_from
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.states import State

FORMAT = 5


@dataclass(frozen=True, slots=True)
class View:
    """A strided tensor and where it lies.

    `place` is "arena", "external" (array `index` of the call: inputs, then outputs), "state" or "constant" (by name),
    or "strip" (what one stage of a step hands to the next). Strides are in elements, of the logical axes: channels-last
    data of shape (n, c, h, w) has stride 1 at c.
    """

    place: str
    index: int
    name: str
    offset_bytes: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __str__(self) -> str:
        named = {"constant": f"%{self.name}", "state": f"${self.name}", "strip": "strip"}
        at = {"arena": f"@{self.offset_bytes}", "external": f"#{self.index}", **named}[self.place]
        return f"{at}:{self.dtype}[{','.join(map(str, self.shape))}]{layout_name(self.shape, self.strides)}"


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call: a row of the table, the op and node it serves, and its views.

    A step of kernel "strips" runs its stages depth first: each reads as its input 0 what the one before it wrote; the
    step's inputs are all the others, in order.
    """

    kernel: str
    op: str
    name: str
    inputs: tuple[View | None, ...]
    outputs: tuple[View, ...]
    attributes: Mapping[str, Any]
    flops: int = 0
    stages: tuple[Step, ...] = ()

    @property
    def algorithm(self) -> str:
        """The rows that the call runs."""
        return " → ".join(stage.kernel for stage in self.stages) or self.kernel

    @property
    def moved_bytes(self) -> int:
        """Bytes that the call must read and write at the least."""
        views = [view for view in (*self.inputs, *self.outputs) if view is not None]
        return sum(span_bytes(view.dtype, view.shape, view.strides) for view in views)

    def __str__(self) -> str:
        sources = ", ".join("-" if view is None else str(view) for view in self.inputs)
        extras = " ".join(f"{key}={value}" for key, value in self.attributes.items())
        line = f"{', '.join(map(str, self.outputs))} = {self.kernel}({sources}) {extras} '{self.name}'"
        return "".join([line, *(f"\n    {stage}" for stage in self.stages)])


@dataclass(frozen=True)
class Plan:
    """What to run for given input shapes, with every byte accounted for before the first run."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    steps: tuple[Step, ...]
    graph: str
    device: str
    threads: int
    arena_bytes: int
    scratch_bytes: int
    packed_bytes: int
    constant_bytes: int  # constants that kernels read as they are
    fingerprint: str  # of the graph that was planned: names, types, attributes
    choices: Choices = field(default_factory=dict)  # how every node is run, by its first output
    options: PlanOptions = ALL_TECHNIQUES
    states: tuple[State, ...] = ()  # of the caller, in none of the bytes above
    precision: str = "fp32"  # "fp16" and "bf16": what fp32 was reduced to
    kept: tuple[str, ...] = ()  # nodes that stayed in fp32 all the same, by their first output
    quantisation: Quantisation | None = None  # what of the model runs on integers, where it is a float one

    @property
    def peak_memory_bytes(self) -> int:
        """Arena with scratch, packed weights and constants."""
        return self.arena_bytes + self.scratch_bytes + self.packed_bytes + self.constant_bytes

    @property
    def flops(self) -> int:
        """Floating-point operations of one run."""
        return sum(step.flops for step in self.steps)

    def __str__(self) -> str:
        head = f"plan {self.graph} for {self.device}, {self.threads} threads: arena {self.arena_bytes}"
        head += f" + scratch {self.scratch_bytes} + packed {self.packed_bytes} + constants {self.constant_bytes} bytes"
        return "\n".join([head, *(f"  {step}" for step in self.steps)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the plan as JSON, atomically."""
        document = {"format": FORMAT, "version": __version__, **dataclasses.asdict(self)}
        document["digest"] = digest_of(document)
        write_atomically(path, json.dumps(document, default=dict, separators=(",", ":")))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Plan:
        """Reads a plan. Raises PlanError where the file is not a plan of this version, or breaks a rule of plans."""
        from thew.plan.verify import check_plan

        try:
            document = json.loads(Path(path).read_text())
            sealed = document.pop("digest", "") == digest_of(document)
            if (document.pop("format"), document.pop("version")) != (FORMAT, __version__):
                raise PlanError(
                    f"plan '{path}': must be of version {__version__}; plan the model again, or adapt it: replan"
                )
            if not sealed:
                raise PlanError(
                    f"plan '{path}': must be as it was saved, got one that was edited; plan the model again"
                )
            steps = tuple(_step_from(step) for step in document.pop("steps"))
            inputs, outputs = (tuple(map(value_from, document.pop(key))) for key in ("inputs", "outputs"))
            choices = {key: choice_from(fields) for key, fields in document.pop("choices").items()}
            options = PlanOptions(**document.pop("options"))
            states = tuple(State(**{**state, "type": value_from(state).type}) for state in document.pop("states"))
            made: dict[str, Any] = {"choices": choices, "options": options, "states": states}
            made["kept"] = tuple(map(str, document.pop("kept")))
            made["quantisation"] = quantisation_from(document.pop("quantisation"))
            plan = Plan(inputs, outputs, steps, **made, **document)
            check_plan(plan)
            return plan
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, ModelError) as error:
            raise PlanError(
                f"plan '{path}': must be a plan saved by Thew, got {error!r}; plan the model again"
            ) from error


def digest_of(document: Mapping[str, Any]) -> str:
    """Of all that a plan says, however its text is laid out."""
    text = json.dumps(document, default=dict, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def value_from(fields: dict[str, Any]) -> Value:
    """A value as `Plan.save` writes it."""
    return Value(fields["name"], TensorType(fields["type"]["dtype"], tuple(fields["type"]["shape"])))


def quantisation_from(fields: dict[str, Any] | None) -> Quantisation | None:
    """A quantisation as `Plan.save` writes it, checked. Raises ModelError."""
    if fields is None:
        return None
    steps = tuple((float(scale), zero) for scale, zero in fields["steps"])
    weights = {str(key): tuple(map(float, scales)) for key, scales in fields["weights"].items()}
    made = Quantisation(tuple(fields["kept"]), steps, dict(fields["values"]), weights)
    made.check()
    return made


def _view_from(fields: dict[str, Any] | None) -> View | None:
    if fields is None:
        return None
    return View(**{**fields, "shape": tuple(fields["shape"]), "strides": tuple(fields["strides"])})


def _step_from(fields: dict[str, Any]) -> Step:
    outputs = tuple(view for view in map(_view_from, fields.pop("outputs")) if view is not None)
    attributes = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.pop("attributes").items()
    }
    stages = tuple(map(_step_from, fields.pop("stages")))
    inputs = tuple(map(_view_from, fields.pop("inputs")))
    return Step(inputs=inputs, outputs=outputs, attributes=attributes, stages=stages, **fields)


def plain_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of C order."""
    strides, span = [], 1
    for extent in reversed(shape):
        strides.append(span)
        span *= max(extent, 1)
    return tuple(reversed(strides))


def channels_last_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides with the channels (axis 1) innermost."""
    order = (0, *range(2, len(shape)), 1)
    inner = plain_strides(tuple(shape[axis] for axis in order))
    return tuple(inner[order.index(axis)] for axis in range(len(shape)))


def batch_innermost_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides with the batch (axis 0) innermost."""
    inner = plain_strides((*shape[1:], *shape[:1]))
    return (*inner[-1:], *inner[:-1])


def same_layout(shape: tuple[int, ...], left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether two sets of strides address the same; the stride of an axis of extent 1 is never used."""
    return all(extent == 1 or a == b for extent, a, b in zip(shape, left, right, strict=True))


def is_plain(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the strides are those of C order."""
    return 0 in shape or same_layout(shape, strides, plain_strides(shape))


def is_channels_last(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether channels lie side by side, as image kernels want them; pixels may be apart (a slice of a concat)."""
    if len(shape) < 3 or 0 in shape:
        return True
    order = [axis for axis in (0, *range(2, len(shape)), 1) if shape[axis] != 1]
    return (shape[1] == 1 or strides[1] == 1) and all(
        strides[outer] >= strides[inner] * shape[inner] for outer, inner in pairwise(order)
    )


def is_batch_innermost(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether images lie side by side, element by element."""
    return len(shape) < 3 or 0 in shape or same_layout(shape, strides, batch_innermost_strides(shape))


LAYOUTS: Mapping[str, Callable[[tuple[int, ...]], tuple[int, ...]]] = {  # strides of dense images
    "plain": plain_strides,
    "channels_last": channels_last_strides,
    "batch_innermost": batch_innermost_strides,
}
FITS: Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    "plain": is_plain,
    "channels_last": is_channels_last,
    "batch_innermost": is_batch_innermost,
}


def dense_strides(layout: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense tensor in one of the LAYOUTS; what is no image is in C order."""
    return LAYOUTS[layout](shape) if len(shape) > 2 else plain_strides(shape)


def layout_name(shape: tuple[int, ...], strides: tuple[int, ...]) -> str:
    """For people: nothing for C order, "nhwc" for channels last, "chwn" for the batch innermost, else the strides."""
    if is_plain(shape, strides):
        return ""
    if len(shape) == 4 and is_channels_last(shape, strides):
        return "nhwc"
    if len(shape) == 4 and is_batch_innermost(shape, strides):
        return "chwn"
    return f"({','.join(map(str, strides))})"


def span_bytes(dtype: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Bytes of the elements of a view, a broadcast axis counted once."""
    count = 1
    for extent, stride in zip(shape, strides, strict=True):
        count *= extent if stride != 0 else min(extent, 1)
    return count * size_bytes(dtype)
