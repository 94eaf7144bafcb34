"""Search over the design space: by which kernels, in which layouts and precisions, a network runs best on a device.

The room is called like its function: ``thew.search(model, …)`` is `thew.search.run.search`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from thew.search.result import Result
from thew.search.run import search

__all__ = ["Result", "search"]


class _Callable(ModuleType):
    """A module that is its function too (data model, "customising module attribute access")."""

    def __call__(self, *arguments: Any, **named: Any) -> Result:
        return search(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
