"""What a plan was meant to be, apart from the device and the version that it was made for: how every node is run, in
which precisions, with which techniques. A plan that is refused elsewhere is made anew from this.

Of a file it takes what it knows, each part checked; nothing of it is run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from thew.errors import ModelError, PlanError
from thew.ir import Graph, TensorType
from thew.passes.requantise import Quantisation
from thew.plan.choices import Choice, choice_from, key_of
from thew.plan.options import ALL_TECHNIQUES, PlanOptions
from thew.plan.plan import Plan, digest_of, quantisation_from, value_from
from thew.plan.survey import survey
from thew.plan.target import Target
from thew.plan.verify import check_value


@dataclass(frozen=True)
class Intent:
    """What a plan says that holds for other devices, too.

    Attributes:
        types: of the inputs, by name.
        choices: how nodes are to be run.
        options: techniques that may be used.
        precision: what fp32 is reduced to.
        kept: nodes that stay in fp32 all the same.
        quantisation: what of the model runs on integers.
        threads: workers.
    """

    types: Mapping[str, TensorType]
    choices: Mapping[str, Choice] = field(default_factory=dict)
    options: PlanOptions = ALL_TECHNIQUES
    precision: str = "fp32"
    kept: tuple[str, ...] = ()
    quantisation: Quantisation | None = None
    threads: int = 1

    @staticmethod
    def of(plan: Plan) -> Intent:
        """That of a plan."""
        types = {value.name: value.type for value in plan.inputs}
        own = {name: getattr(plan, name) for name in _SHARED}
        return Intent(types, plan.choices, quantisation=plan.quantisation, **own)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Intent:
        """That of a file, which may be of another version or device. Raises PlanError for what is no saved plan."""
        try:
            document = json.loads(Path(path).read_text())
            if document.pop("digest") != digest_of(document):
                raise PlanError(f"plan '{path}': must be as it was saved, got one that was edited; search again")
            values = [value_from(found) for found in document["inputs"]]
            for value in values:
                check_value(value)
            choices = {str(key): _choice(found) for key, found in document["choices"].items()}
            options = _known(PlanOptions, document["options"], bool)
            half, kept = document["precision"], tuple(map(str, document["kept"]))
            threads = document["threads"]
            if half not in ("fp32", "fp16", "bf16") or not isinstance(threads, int) or not 1 <= threads <= 1024:
                raise PlanError(f"plan '{path}': must have a precision and threads, got {half!r}, {threads!r}")
            quantisation = quantisation_from(document["quantisation"])
            types = {value.name: value.type for value in values}
            return Intent(types, choices, PlanOptions(**options), half, kept, quantisation, threads)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, ModelError) as error:
            raise PlanError(f"plan '{path}': must be a plan saved by Thew, got {error!r}; search again") from error

    def choices_for(self, graph: Graph, target: Target) -> dict[str, Choice]:
        """The choices as far as they can be followed: by the row where the device has it, else by algorithm and layout,
        else by algorithm; a node for which none can be is left to the planner.
        """
        ways = survey(graph, target, self.options)
        found = {}
        for node in graph.nodes:
            wanted = self.choices.get(key_of(node))
            if wanted is None:
                continue
            what = replace(wanted, threads=0, blocking="")
            nearer = (what, Choice(wanted.algorithm, "", wanted.layout), Choice(wanted.algorithm))
            legal = [way.choice for way in ways.get(key_of(node), ())]
            near = next((one for one in nearer if any(map(one.allows, legal))), None)
            if near is not None:
                found[key_of(node)] = replace(near, threads=min(wanted.threads, target.threads))
        return found


_SHARED = ("options", "precision", "kept", "threads")


def _choice(found: Mapping[str, Any]) -> Choice:
    return choice_from({**_known(Choice, found, str), **_known(Choice, found, int)})


def _known(kind: type, found: Mapping[str, Any], of: type) -> dict[str, Any]:
    """The fields that there are now."""
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in found.items() if name in names and isinstance(value, of)}
