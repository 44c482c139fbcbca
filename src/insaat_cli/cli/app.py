"""The command `insaat`: its commands, and the one place where an error becomes an exit code."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

import insaat_cli
from insaat_cli import __version__
from insaat_cli.cli.commands import TELLING_COMMANDS, Commands
from insaat_cli.cli.session import Session, session_of
from insaat_cli.display.standard_streams import fault_of, is_reader_gone, outlast_readers
from insaat_cli.errors import ExitCode, InsaatError, StoppedError, UsageError
from insaat_cli.formatting import without_passwords

UNEXPECTED = 1
"""The exit code of a bug."""
UNWRITTEN = 1
"""The exit code of a command that only tells things, and whose output could not be written."""
EXIT_CODE_OF_SIGNAL = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}
HELP = """From a folder of photos to a textured 3D model.

Example:  insaat reconstruct ./photos

writes model.glb and report.html to ./photos-3d. No photos at hand? Try: insaat demo

Help on one command:  insaat help COMMAND"""

app = typer.Typer(
    name="insaat",
    cls=Commands,
    help=HELP,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"insaat {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Show help when no command is given."""
    session_of(context).only_tells = context.invoked_subcommand in TELLING_COMMANDS
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return
    from insaat_cli.machine.numba_cache import cache_variables  # tries out folders: not for help

    os.environ.update(cache_variables(os.environ, Path(insaat_cli.__file__).parent))


def main() -> None:
    """Entry point of the program."""
    may_hold_credentials = "worker" in sys.argv[1:]
    if may_hold_credentials:
        from insaat_cli.remote.worker.credentials import begin_again_without_credentials

        begin_again_without_credentials()
    if os.getpid() == 1:
        from insaat_cli.machine.first_process import go_on_below_the_first

        go_on_below_the_first()
    if may_hold_credentials:
        from insaat_cli.remote.worker.credentials import take_credentials

        take_credentials()
    outlast_readers()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Do what `arguments` say; the exit code."""
    session = Session(arguments=tuple(arguments), as_json=_asks_for_json(arguments))
    code = _done(session)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    return _unless_unwritten(code, session)


def _done(session: Session) -> int:
    """Run the command; what went wrong is said, and becomes the exit code."""
    arguments = list(session.arguments)
    try:
        with _signals_are_errors():
            # Where typer does not stand alone it raises what it else would print.
            alone = not session.as_json
            code = app(args=arguments, obj=session, prog_name="insaat", standalone_mode=alone)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except InsaatError as error:
        session.out.error(error)
        return int(error.code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as error:
        if (wrong := _usage_error(error)) is not None:
            session.out.error(wrong)
            return int(wrong.code)
        log = _write_bug_log(error, arguments)
        from insaat_cli.workspace.path_errors import path_error

        if isinstance(error, OSError) and (explained := path_error(error)) is not None:
            explained.log = log
            session.out.error(explained)
            return int(explained.code)
        session.out.bug(error, log)
        return UNEXPECTED
    return code if isinstance(code, int) else int(ExitCode.DONE)


def _unless_unwritten(code: int, session: Session) -> int:
    """`code`; but a listing that somebody wants and that could not be written is not done."""
    fault = fault_of(sys.stdout)
    if code or fault is None or is_reader_gone(fault) or not session.only_tells:
        return code
    return UNWRITTEN


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Known before the options are read: what is wrong with them is said in JSON as well."""
    options = takewhile(lambda argument: argument != "--", arguments)
    return "--json" in options


def _usage_error(error: Exception) -> UsageError | None:
    """The error of wrong arguments as ours; None for any other. Typer has click's classes, or its
    own copies of them, depending on its version."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "ClickException" not in kinds:
        return None
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context else "insaat --help"
    message = str(error.format_message()).strip()  # type: ignore[attr-defined]
    return UsageError(message.rstrip("."), hint=hint)


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


def _write_bug_log(error: Exception, arguments: Sequence[str]) -> Path | None:
    """Where the whole story of `error` is; None where no file can be written."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="insaat-bug-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"insaat {__version__}, Python {sys.version}\n")
            log.write(without_passwords(f"arguments: {list(arguments)}\n\n"))
            log.writelines(map(without_passwords, traceback.format_exception(error)))
    except OSError:
        return None
    return Path(path)
