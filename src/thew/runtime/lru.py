"""A small map that keeps the entries used last, safe to use from several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Entry = TypeVar("Entry")


class Recent(Generic[Key, Entry]):
    """At most `capacity` entries; the one that was not used for longest goes first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Key, make: Callable[[], Entry]) -> Entry:
        """The entry of a key, made on first use (once, also when several threads ask at the same time)."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = make()
                if len(self._entries) > self._capacity:
                    self._entries.popitem(last=False)
            else:
                self._entries.move_to_end(key)
            return entry

    def clear(self) -> None:
        """Lets all entries go, also from within the making of one."""
        with self._lock:
            self._entries.clear()

    def last(self) -> Entry | None:
        """The entry used last."""
        with self._lock:
            return next(reversed(self._entries.values()), None)
