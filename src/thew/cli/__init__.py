"""The command line: one command a file, registered by one line in `app`."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and gives its exit status: 0 done, 1 failed, 2 called wrongly."""
    from thew.cli.app import execute

    return execute(arguments)


__all__ = ["main"]
