"""Asks training to end at a step's end on SIGINT and SIGTERM; a second one acts as it would have without."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopping_on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Calls `stop` with the signal's name. Does nothing off the main thread, where signals cannot be caught."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: Any) -> None:
        kind = signal.Signals(number)
        signal.signal(kind, before[kind])
        stop(kind.name)

    for kind in (signal.SIGINT, signal.SIGTERM):
        before[kind] = signal.signal(kind, handle)
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
