"""`insaat doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import typer

from insaat_cli.cli.options import JsonOption
from insaat_cli.cli.session import talk_of
from insaat_cli.console import Talk
from insaat_cli.doctor import Check, Health, examine_machine, require_health
from insaat_cli.wording import printable

SIGN = {Health.GOOD: "ok", Health.WARNING: "!!", Health.PROBLEM: "XX"}
STYLE = {Health.GOOD: "green", Health.WARNING: "yellow", Health.PROBLEM: "bold red"}
NAME_WIDTH = 24


def doctor_command(context: typer.Context, json: JsonOption = False) -> None:
    """Check packages, programs and limits; exit code 4 if something needed is missing."""
    talk = talk_of(context, json=json)
    checks = examine_machine(Path.cwd())
    for check in checks:
        talk.json({"event": "check", **dataclasses.asdict(check)})
        _show(talk, check)
    require_health(checks)
    talk.line()
    talk.line("all that the default pipeline needs is here", style="bold")


def _show(talk: Talk, check: Check) -> None:
    needed = f"  (needs {check.needed})" if check.needed and check.health is not Health.GOOD else ""
    line = f"{SIGN[check.health]}  {check.name:<{NAME_WIDTH}} {check.found}{needed}"
    talk.line(printable(line), style="" if check.health is Health.GOOD else STYLE[check.health])
    if check.advice:
        talk.line(printable(f"    {'':<{NAME_WIDTH}} do: {check.advice}"))
