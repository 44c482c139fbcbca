"""A pipeline in words: for `insaat pipelines`."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from insaat_cli.formatting import printable
from insaat_cli.pipeline.definition import Pipeline, Stage
from insaat_cli.pipeline.parameters import value_text

EXPLANATION = (
    "Each parameter with its default, range and meaning. Change one with --set "
    "STAGE.PARAMETER=VALUE."
)
INDENT, GAP = 2, 2
NARROWEST = 12
"""Columns that a range or a meaning gets at least."""


def pipeline_fields(pipeline: Pipeline) -> dict[str, Any]:
    """What a program wants to know of a pipeline."""
    return {
        "event": "pipeline",
        "name": pipeline.name,
        "summary": pipeline.summary,
        "source": pipeline.source,
        "requires": [dataclasses.asdict(program) for program in pipeline.requires],
        "presets": {
            name: {stage: dict(params) for stage, params in stages.items()}
            for name, stages in pipeline.presets.items()
        },
        "stages": [
            {
                "name": stage.name,
                "title": stage.title,
                "needs": list(stage.needs),
                "params": dict(stage.params),
                "parameters": {name: parameter_fields(stage, name) for name in stage.params},
                "outputs": list(stage.outputs),
            }
            for stage in pipeline.stages
        ],
    }


def parameter_fields(stage: Stage, name: str) -> dict[str, Any]:
    """What a program wants to know of a parameter; what it has not is null."""
    parameter = stage.parameter(name)
    return {
        "default": stage.params[name],
        "type": parameter.kind.value,
        "min": parameter.minimum,
        "max": parameter.maximum,
        "choices": list(parameter.choices) or None,
        "nullable": parameter.nullable,
        "unit": parameter.unit or None,
        "about": parameter.about or None,
    }


def pipeline_lines(pipeline: Pipeline, width: int | None = None) -> list[str]:
    """A pipeline for people: stages in order with their parameters, then presets.

    No line is longer than `width` columns, where it says any, if a word fits in that.
    """
    lines = _wrapped(f"{pipeline.name}: {pipeline.summary}", width)
    lines.append(f"  from {pipeline.source}")
    for program in pipeline.requires:
        version = f" {program.version} or newer" if program.version else ""
        lines.append(f"  needs {program.program}{version}")
    lines += ["", *_wrapped(EXPLANATION, width)]
    for stage in pipeline.stages:
        lines += ["", *_stage_lines(stage, width)]
    lines.append("")
    for preset, stages in pipeline.presets.items():
        settings = [
            f"{stage}.{key}={value_text(value)}"
            for stage, params in stages.items()
            for key, value in params.items()
        ]
        lines += _wrapped(f"preset {preset}: {', '.join(settings) or 'changes nothing'}", width)
    return [printable(line) for line in lines]


def _stage_lines(stage: Stage, width: int | None) -> list[str]:
    needs = f"  (needs {', '.join(stage.needs)})" if stage.needs else ""
    lines = _wrapped(f"{stage.name}  {stage.title}{needs}", width)
    rows = []
    for name, value in stage.params.items():
        parameter = stage.parameter(name)
        rows.append((name, value_text(value), parameter.range, parameter.about))
    return lines + _table(rows, width)


def _table(rows: Sequence[tuple[str, ...]], width: int | None) -> list[str]:
    """Rows of name, default, range and meaning; the last two share what the others leave."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    if width is not None:
        left = width - INDENT - widths[0] - widths[1] - 3 * GAP
        widths[2] = min(widths[2], max(left * 2 // 5, NARROWEST))
        widths[3] = max(left - widths[2], NARROWEST)
    lines = []
    for row in rows:
        cells = [
            textwrap.wrap(cell, max(wide, 1), break_on_hyphens=False) or [""]
            for cell, wide in zip(row, widths, strict=True)
        ]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = [f"{part:<{wide}}" for part, wide in zip(parts, widths, strict=True)]
            lines.append((" " * INDENT + (" " * GAP).join(padded)).rstrip())
    return lines


def _wrapped(text: str, width: int | None) -> list[str]:
    return [text] if width is None else textwrap.wrap(text, width, subsequent_indent="    ")
