"""Search over the design space: by which kernels, in which layouts and precisions, a network runs best on a device.

The room is called like its function: ``thew.search(model, …)`` is `thew.search.run.search`, and for
``objective="step_time"``, of a trainer or of what one is made of, `thew.search.training.search_step`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from thew.search.result import Result
from thew.search.run import search
from thew.search.training import STEP_TIME, StepResult, search_step

__all__ = ["Result", "StepResult", "search", "search_step"]


class _Callable(ModuleType):
    """A module that is its function too (data model, "customising module attribute access")."""

    def __call__(self, model: Any, *arguments: Any, **named: Any) -> Any:
        if named.get("objective") == STEP_TIME:
            del named["objective"]
            return search_step(model, *arguments, **named)
        return search(model, *arguments, **named)


sys.modules[__name__].__class__ = _Callable
