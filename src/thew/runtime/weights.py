"""Weights that are given up as they are packed: a session that can never plan again needs no second copy of them.

A weight read from a model's file has pages of its own (`thew.ir.pages`); once the last step that reads it has
packed it, they go back to the system, while the arrays over them live on unread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from thew.ir.graph import Array
from thew.ir.pages import pages_of


class Expendable:
    """Counts who still reads the pages behind constants.

    Args:
        constants: by name.
        reads: names of constants, as often as steps read them.
        kept: names of those that somebody reads later too.
    """

    def __init__(self, constants: Mapping[str, Array], reads: Iterable[str], kept: Iterable[str]) -> None:
        self._owners = {name: pages_of(array) for name, array in constants.items()}
        self._left = Counter(id(self._owners[name]) for name in (*reads, *kept) if name in self._owners)

    def packed(self, name: str) -> None:
        """One of the reads is done, and what it read is packed."""
        pages = self._owners.get(name)
        self._left[id(pages)] -= 1
        if pages is not None and self._left[id(pages)] == 0:
            pages.give_up()
