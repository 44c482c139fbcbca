"""`insaat config`."""

from __future__ import annotations

from typing import Annotated

import typer

from insaat_cli.cli.options import JsonOption
from insaat_cli.cli.session import output_for
from insaat_cli.errors import UsageError


def config_command(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Setting to change.")] = None,
    value: Annotated[str | None, typer.Argument(help="New value; '' removes the setting.")] = None,
    json: JsonOption = False,
) -> None:
    """Show or change settings."""
    from insaat_cli.remote.connections import (
        MEANING,
        change_setting,
        config_path,
        settings,
        shown_value,
    )

    out = output_for(context, json=json)
    if name is not None and value is not None:
        change_setting(name, value, config_path())
    elif name is not None and name not in MEANING:
        raise UsageError(f"unknown setting {name!r}", hint=f"choose from {', '.join(MEANING)}")
    found = settings({})
    out.line(f"file: {config_path()}")
    for key, meaning in MEANING.items():
        if name not in {None, key}:
            continue
        setting = found.get(key)
        value = shown_value(key, setting.value) if setting else None
        shown = f"{value}  ({setting.origin})" if setting else f"not set: {meaning}"
        out.json({"event": "setting", "name": key, "value": value})
        out.line(f"{key}: {shown}")
