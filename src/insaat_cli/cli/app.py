"""The command `insaat`: its commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

import insaat_cli
from insaat_cli import __version__
from insaat_cli.cli import (
    batch,
    check,
    demo,
    doctor,
    export,
    frames,
    history,
    pipelines,
    plan,
    reconstruct,
    remote,
    view,
    worker,
)
from insaat_cli.cli.session import Session
from insaat_cli.compiled_code import cache_variables
from insaat_cli.errors import ExitCode, InsaatError, StoppedError

UNEXPECTED = 1
"""The exit code of a bug."""
EXIT_CODE_OF_SIGNAL = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}
HELP = """From a folder of photos to a textured 3D model.

Example:  insaat reconstruct ./photos

makes ./photos-3d with model.glb and report.html. Try it without photos: insaat demo"""

app = typer.Typer(
    name="insaat",
    help=HELP,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("reconstruct")(reconstruct.reconstruct_command)
app.command("batch")(batch.batch_command)
app.command("demo")(demo.demo_command)
app.command("doctor")(doctor.doctor_command)
app.command("check")(check.check_command)
app.command("frames")(frames.frames_command)
app.command("export")(export.export_command)
app.command("view")(view.view_command)
app.command("plan")(plan.plan_command)
app.add_typer(pipelines.app, name="pipelines")
app.add_typer(history.app, name="history")
remote.register(app)
worker.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"insaat {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Show help when no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Do what `arguments` say; the exit code."""
    session = Session(arguments=tuple(arguments))
    _never_fail_to_print()
    os.environ.update(cache_variables(os.environ, Path(insaat_cli.__file__).parent))
    try:
        with _signals_are_errors():
            app(args=list(arguments), obj=session, prog_name="insaat")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except InsaatError as error:
        session.talk.error(error)
        return int(error.code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as error:
        session.talk.bug(error, _write_bug_log(error, arguments))
        return UNEXPECTED
    return int(ExitCode.DONE)


@contextmanager
def _signals_are_errors() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the command like any expected fault, with their own exit codes.

    Only outside of a run: the runner has handlers of its own, which stop the stages first.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise StoppedError("stopped", code=EXIT_CODE_OF_SIGNAL[signal.Signals(number)])

    try:
        before = {number: signal.signal(number, stop) for number in EXIT_CODE_OF_SIGNAL}
    except ValueError:  # not in the main thread: someone else handles signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _never_fail_to_print() -> None:
    """Characters that the terminal's encoding lacks are escaped, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _write_bug_log(error: Exception, arguments: Sequence[str]) -> str:
    descriptor, path = tempfile.mkstemp(prefix="insaat-bug-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"insaat {__version__}, Python {sys.version}\narguments: {list(arguments)}\n\n")
        log.writelines(traceback.format_exception(error))
    return path
