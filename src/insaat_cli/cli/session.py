"""What one command line shares between the option parser and the error handler."""

from __future__ import annotations

from dataclasses import dataclass, field

import typer

from insaat_cli.display.output import Display, Output


@dataclass
class Session:
    """How the command talks; errors use the same channels as its results."""

    out: Output = field(default_factory=lambda: Output(Display.NORMAL))
    arguments: tuple[str, ...] = ()
    """As given, for the report."""
    only_tells: bool = True
    """Whether the command does nothing but say things, as `insaat jobs` and `--help` do."""


def output_for(
    context: typer.Context, *, json: bool = False, quiet: bool = False, verbose: bool = False
) -> Output:
    """Set up how this command talks. JSON includes everything, whatever else is asked."""
    session = session_of(context)
    display = Display.NORMAL
    if json:
        display = Display.JSON
    elif quiet:
        display = Display.QUIET
    elif verbose:
        display = Display.VERBOSE
    session.out = Output(display, details=verbose)
    return session.out


def session_of(context: typer.Context) -> Session:
    """The session of this command line."""
    if not isinstance(context.obj, Session):
        context.obj = Session()
    return context.obj
