"""`Plan`: a flat list of kernel calls over one arena. Immutable, printable, and a JSON file beside the model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thew._version import __version__
from thew.errors import ModelError, PlanError
from thew.files import write_atomically
from thew.ir import TensorType, Value
from thew.passes.requantise import Quantisation
from thew.plan.choices import Choices, choice_from
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.states import State
from thew.plan.step import Step, step_from
from thew.plan.verify import MOST_BYTES, check_count, check_steps, check_value

FORMAT = 5
_MOST_THREADS = 1024


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

    def check(self) -> None:
        """Refuses a plan that breaks a rule, before any of it reaches native code. Raises PlanError."""
        for name in ("arena_bytes", "scratch_bytes", "packed_bytes", "constant_bytes"):
            check_count(name, getattr(self, name), 0, MOST_BYTES)
        check_count("threads", self.threads, 1, _MOST_THREADS)
        for value in (*self.inputs, *self.outputs):
            check_value(value)
        check_steps(self.steps, self.inputs, self.outputs, self.arena_bytes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the plan as JSON, atomically."""
        document = {"format": FORMAT, "version": __version__, **dataclasses.asdict(self)}
        document["digest"] = digest_of(document)
        write_atomically(path, json.dumps(document, default=dict, separators=(",", ":")))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Plan:
        """Reads a plan. Raises PlanError where the file is not a plan of this version, or breaks a rule of plans."""
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
            steps = tuple(step_from(step) for step in document.pop("steps"))
            inputs, outputs = (tuple(map(value_from, document.pop(key))) for key in ("inputs", "outputs"))
            choices = {key: choice_from(fields) for key, fields in document.pop("choices").items()}
            options = PlanOptions(**document.pop("options"))
            states = tuple(State(**{**state, "type": value_from(state).type}) for state in document.pop("states"))
            made: dict[str, Any] = {"choices": choices, "options": options, "states": states}
            made["kept"] = tuple(map(str, document.pop("kept")))
            made["quantisation"] = quantisation_from(document.pop("quantisation"))
            plan = Plan(inputs, outputs, steps, **made, **document)
            plan.check()
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
