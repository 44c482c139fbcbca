"""What one command line shares between the option parser and the error handler."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from insaat_cli.display.output import Output


@dataclass
class Session:
    """How the command talks; errors use the same channels as its results."""

    arguments: tuple[str, ...] = ()
    """As given, for the report."""
    as_json: bool = False
    """Whether what is wrong with the arguments is to be said in JSON as well."""
    only_tells: bool = True
    """Whether the command does nothing but say things, as `insaat jobs` and `--help` do."""

    @cached_property
    def out(self) -> Output:
        """Where errors go until `output_for` has read the command's own options."""
        from insaat_cli.display.output import Display, Output  # slow to load: not for --version

        return Output(Display.JSON if self.as_json else Display.NORMAL)


def output_for(
    context: typer.Context, *, json: bool = False, quiet: bool = False, verbose: bool = False
) -> Output:
    """Set up how this command talks. JSON includes everything, whatever else is asked."""
    from insaat_cli.display.output import Display, Output

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
