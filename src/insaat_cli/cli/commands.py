"""Every command of `insaat` with its line of help; its module is imported when it is asked for.

So `insaat --help` and `insaat --version` wait for no command, and no command waits for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One command, as the top-level help shows it."""

    name: str
    where: str
    """MODULE:ATTRIBUTE below `insaat_cli.cli`: a function, or a `typer.Typer` with subcommands."""
    help: str
    """The first paragraph of the function's docstring, or of the group's help."""
    only_tells: bool = False
    """Whether it does nothing but say things: then it fails if nobody could read them."""

    @property
    def module(self) -> str:
        return self.where.partition(":")[0]

    def load(self) -> Any:
        """The function or the `typer.Typer`."""
        module, attribute = self.where.split(":")
        return getattr(import_module(f"insaat_cli.cli.{module}"), attribute)


COMMANDS = (
    Entry(
        name="reconstruct",
        where="reconstruct:reconstruct_command",
        help="Make a textured 3D model from overlapping photos of one subject.",
    ),
    Entry(
        name="batch",
        where="batch:batch_command",
        help="Reconstruct many photo sets, as many at once as memory and cores allow.",
    ),
    Entry(
        name="demo",
        where="demo:demo_command",
        help="Render a demo photo set and reconstruct it.",
    ),
    Entry(
        name="doctor",
        where="doctor:doctor_command",
        help="Check packages, programs and limits. Exits with 4 if a requirement is missing.",
        only_tells=True,
    ),
    Entry(
        name="check",
        where="check:check_command",
        help="Check photos before a run for blur, exposure, overlap and gaps.",
        only_tells=True,
    ),
    Entry(
        name="frames",
        where="frames:frames_command",
        help="Extract sharp, evenly spaced frames from a video.",
    ),
    Entry(
        name="export",
        where="export:export_command",
        help="Export a model for 3D printing or sharing.",
    ),
    Entry(
        name="view",
        where="view:view_command",
        help="View a model in the browser. It is served to this machine only.",
    ),
    Entry(
        name="plan",
        where="plan:plan_command",
        help="Predict memory, time and disk space for each stage and preset, without running "
        "anything.",
        only_tells=True,
    ),
    Entry(
        name="submit",
        where="submit:submit_command",
        help="Submit a reconstruction to the queue. Photos already in the store are not uploaded "
        "again.",
    ),
    Entry(
        name="jobs",
        where="jobs:jobs_command",
        help="List the jobs of a queue, newest first.",
        only_tells=True,
    ),
    Entry(
        name="status",
        where="jobs:status_command",
        help="Show the status of a job.",
        only_tells=True,
    ),
    Entry(
        name="events",
        where="events:events_command",
        help="Print waiting and running jobs, then every change of a job, one JSON object a line.",
        only_tells=True,
    ),
    Entry(
        name="fetch",
        where="jobs:fetch_command",
        help="Download the result of a job. Run the same command again to resume a download.",
    ),
    Entry(
        name="cancel",
        where="jobs:cancel_command",
        help="Cancel a queued or running job.",
    ),
    Entry(
        name="retry",
        where="jobs:retry_command",
        help="Requeue a failed or cancelled job. Finished stages are reused.",
    ),
    Entry(
        name="logs",
        where="jobs:logs_command",
        help="Print the log of a job's last attempt.",
        only_tells=True,
    ),
    Entry(
        name="share",
        where="jobs:share_command",
        help="Create a temporary public link to the model's page.",
        only_tells=True,
    ),
    Entry(
        name="rm",
        where="jobs:rm_command",
        help="Delete ended jobs and their results. Photos stay in the store for other jobs.",
    ),
    Entry(
        name="worker",
        where="worker:worker_command",
        help="Run jobs from a queue until told to stop.",
    ),
    Entry(
        name="config",
        where="config:config_command",
        help="Show or change settings.",
        only_tells=True,
    ),
    Entry(
        name="pipelines",
        where="pipelines:app",
        help="List, show and check pipelines.",
        only_tells=True,
    ),
    Entry(
        name="history",
        where="history:app",
        help="Show or clear what stages have cost on this machine.",
        only_tells=True,
    ),
)
TELLING_COMMANDS = frozenset(entry.name for entry in COMMANDS if entry.only_tells)


class _Flags:
    """Options without a value show none in the help; newer versions of typer write <bool>."""

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)  # type: ignore[misc]
        for flag in (param for param in params if getattr(param, "is_flag", False)):
            flag.metavar = ""
        return params


class Command(_Flags, TyperCommand):
    """A command."""


class Group(_Flags, TyperGroup):
    """A command with subcommands."""


class Commands(Group):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for entry in COMMANDS:
            self.add_command(_NotYetLoaded(entry))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`insaat help COMMAND …` is `insaat COMMAND … --help`."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)


class _NotYetLoaded(Command):
    """What help and completion list; the command itself takes over where arguments are read."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(name=entry.name, help=entry.help, callback=None)
        self.entry = entry

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        found = self.entry.load()
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(self.name, cls=Command)(function)
        command = typer.main.get_command(found)
        return command.make_context(info_name, args, parent=parent, **extra)
