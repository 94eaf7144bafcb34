"""The application: which commands there are, and how a failure ends.

Every failure is one line on standard error in the house form, *where: rule, what was got, remedy*. A traceback is
shown only where ``THEW_TRACEBACK`` is set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from thew.cli import (
    bench,
    cache,
    calibrate,
    doctor,
    dqn,
    explain,
    kernels,
    profile,
    prune,
    quantize,
    quickstart,
    run,
    search,
    train,
)
from thew.cli.options import command
from thew.errors import Error

app = typer.Typer(
    name="thew",
    help="Trains, optimises and runs convolutional networks on CPUs, Arm first.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(command(run.run))
app.command("train")(command(train.train))
app.command("search")(command(search.search))
app.command("prune")(command(prune.prune))
app.command("quantize")(command(quantize.quantize))
app.command("explain")(command(explain.explain))
app.command("profile")(command(profile.profile))
app.command("doctor")(command(doctor.doctor))
app.command("kernels")(command(kernels.kernels))
app.command("calibrate")(command(calibrate.calibrate))
app.command("quickstart")(command(quickstart.quickstart))
app.add_typer(bench.app, name="bench")
app.add_typer(cache.app, name="cache")
app.add_typer(dqn.app, name="dqn")

_UsageError: Any = typer.BadParameter.__base__


def _version(value: bool) -> None:
    if value:
        from thew import __version__

        typer.echo(f"thew {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def execute(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line. Returns 0, 1 where the work failed, 2 where the command line is wrong."""
    program = typer.main.get_command(app)
    try:
        result = program.main(None if arguments is None else list(arguments), prog_name="thew", standalone_mode=False)
    except Exception as failure:
        if os.environ.get("THEW_TRACEBACK"):
            raise
        return _report(failure)
    except KeyboardInterrupt:
        return _fail("interrupted", 1)
    return result if isinstance(result, int) else 0


def _report(failure: Exception) -> int:
    if isinstance(failure, typer.Exit):
        return int(failure.exit_code)
    if isinstance(failure, typer.Abort):
        return _fail("interrupted", 1)
    if isinstance(failure, _UsageError):
        shown: Any = failure
        if type(failure).__name__ == "NoArgsIsHelpError":
            typer.echo(shown.format_message())
            return 2
        where = shown.ctx.command_path if getattr(shown, "ctx", None) is not None else "thew"
        return _fail(f"{where}: {shown.format_message()} See '{where} --help'.", 2)
    if isinstance(failure, Error):
        return _fail(str(failure), 1)
    if isinstance(failure, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what reads us has gone: end in silence
        return 1
    if isinstance(failure, OSError) and failure.filename is not None:
        return _fail(f"{failure.filename}: must be a usable file, got {failure.strerror}; check the path", 1)
    if isinstance(failure, MemoryError):
        return _fail(
            f"memory: must suffice for the model and its input, got {failure or 'a refusal'}; use a smaller one", 1
        )
    return _fail(
        f"internal error: {type(failure).__name__}: {failure}; set THEW_TRACEBACK=1 for the traceback, and report it", 1
    )


def _fail(message: str, status: int) -> int:
    print("thew: " + " ".join(message.split()), file=sys.stderr)
    return status
