"""The options that every command has, defined once.

A command is a function whose first parameter is a `Common`; `command` gives it the five options in that parameter's
place.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

import typer


class Precision(StrEnum):
    """Precisions that the command line takes; the mixed ones are for training."""

    FP32 = "fp32"
    FP64 = "fp64"
    FP16 = "fp16"
    BF16 = "bf16"
    AUTO = "auto"
    MIXED_FP16 = "mixed-fp16"
    MIXED_BF16 = "mixed-bf16"
    MIXED_FP64_FP16 = "mixed-fp64-fp16"


@dataclass(frozen=True)
class Common:
    """What every command is told."""

    threads: int = 1
    cores: str | None = None
    precision: str = "fp32"
    seed: int = 0
    json: bool = False

    def bind_cores(self) -> None:
        """Restricts this process, and what it starts, to the chosen CPUs."""
        if self.cores is None:
            return
        from thew.runtime.device import parse_cores

        chosen = parse_cores(self.cores)
        if chosen:
            os.sched_setaffinity(0, chosen)


Without = Annotated[
    list[str] | None,
    typer.Option(
        help="A technique to leave out: fusion, folding, fitted_blocking, layouts, winograd, strips, memory_planning."
    ),
]

_OPTIONS: dict[str, Any] = {
    "threads": Annotated[
        int, typer.Option(min=0, max=1024, help="Threads; 0: one a core that is granted.", rich_help_panel="Common")
    ],
    "cores": Annotated[
        str | None,
        typer.Option(help="CPUs to run on: all, big, little, or a list such as 0-3,6.", rich_help_panel="Common"),
    ],
    "precision": Annotated[Precision, typer.Option(help="Precision of arithmetic.", rich_help_panel="Common")],
    "seed": Annotated[int, typer.Option(min=0, help="Seed of everything random.", rich_help_panel="Common")],
    "json": Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.", rich_help_panel="Common")],
}


def command(function: Callable[..., None], more: Mapping[str, Any] | None = None) -> Callable[..., None]:
    """The function as Typer wants it: `common` replaced by the shared options.

    With `more`, annotations by name, the function takes these too, as keywords, where they are given.
    """
    more = more or {}
    hints = {**get_type_hints(function, include_extras=True), **more}
    own = [p for p in list(inspect.signature(function).parameters.values())[1:] if p.kind is not p.VAR_KEYWORD]
    own += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in more]
    defaults = Common()
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(defaults, name), annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in own] + shared

    @functools.wraps(function)
    def wrapper(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in _OPTIONS}
        common = Common(**{**given, "precision": str(given["precision"])})
        common.bind_cores()
        if common.threads == 0:
            from thew.runtime.device import granted_threads

            common = replace(common, threads=granted_threads())
        function(common, **{k: v for k, v in arguments.items() if k not in more or v is not None})

    del wrapper.__wrapped__  # else inspect would see the function's own signature
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper
