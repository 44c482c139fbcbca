"""What the shell offers for options whose values a pipeline file holds.

`insaat --install-completion` sets it up. What reads pipeline files is imported when it is asked
for: every command declares these functions, and none but completion calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from insaat_cli.errors import InsaatError

if TYPE_CHECKING:
    from insaat_cli.pipeline.definition import Pipeline, Stage

EXPORT = "insaat_cli.stages.export"

Offers = list[tuple[str, str]]
"""Values, each with what it means."""


def offer_pipelines(incomplete: str) -> Offers:
    """The shipped pipelines; the shell itself offers files."""
    from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines

    return [(name, find_pipeline(name).summary) for name in shipped_pipelines()]


def offer_presets(ctx: typer.Context, incomplete: str) -> Offers:
    pipeline = _pipeline(ctx)
    return [(name, "") for name in pipeline.presets] if pipeline else []


def offer_stages(ctx: typer.Context, incomplete: str) -> Offers:
    pipeline = _pipeline(ctx)
    return [(stage.name, stage.title) for stage in pipeline.stages] if pipeline else []


def offer_formats(incomplete: str) -> Offers:
    """The formats not named yet, behind those that are."""
    from insaat_cli.pipeline.parameter_file import built_in_parameters

    described = built_in_parameters(EXPORT) or {}
    before, comma, _ = incomplete.rpartition(",")
    named = before.split(",")
    known = (str(choice) for choice in described["formats"].choices)
    return [(f"{before}{comma}{name}", "") for name in known if name not in named]


def offer_settings(ctx: typer.Context, incomplete: str) -> Offers:
    """STAGE.PARAMETER= of the pipeline asked for; behind the sign, values where they are few."""
    pipeline = _pipeline(ctx)
    if pipeline is None:
        return []
    found: Offers = []
    for stage in pipeline.stages:
        for name in stage.params:
            start = f"{stage.name}.{name}="
            if incomplete.startswith(start):
                return [(f"{start}{value}", "") for value in _few_values(stage, name)]
            parameter = stage.parameter(name)
            found.append((start, f"{parameter.range}: {parameter.about}".strip(": ")))
    return found


def _few_values(stage: Stage, name: str) -> tuple[int | str, ...]:
    from insaat_cli.pipeline.parameters import Kind

    parameter = stage.parameter(name)
    return ("true", "false") if parameter.kind is Kind.BOOL else parameter.choices


def _pipeline(ctx: typer.Context) -> Pipeline | None:
    """That of the command line so far; None where there is no such pipeline."""
    from insaat_cli.pipeline.defaults import DEFAULT_PIPELINE
    from insaat_cli.pipeline.loader import find_pipeline

    name = ctx.params.get("pipeline")
    try:
        return find_pipeline(DEFAULT_PIPELINE if name in (None, "auto") else str(name))
    except InsaatError:
        return None
