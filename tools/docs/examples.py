"""Lets the documentation show a docstring's ``Example:`` as code, as it does ``Examples:``."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SINGULAR = re.compile(r"^(\s*)Example:$", re.MULTILINE)


class PluralExamples(griffe.Extension):
    """Rewrites the section's title when an object has been read."""

    def on_instance(self, *, obj: griffe.Object, **options: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _SINGULAR.sub(r"\1Examples:", obj.docstring.value)
