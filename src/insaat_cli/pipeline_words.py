"""A pipeline in words: for `insaat pipelines`."""

from __future__ import annotations

import dataclasses
from typing import Any

from insaat_cli.pipeline import Pipeline, Stage
from insaat_cli.wording import printable


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
                "outputs": list(stage.outputs),
            }
            for stage in pipeline.stages
        ],
    }


def pipeline_lines(pipeline: Pipeline) -> list[str]:
    """A pipeline for people: stages in order, then presets."""
    lines = [f"{pipeline.name}: {pipeline.summary}", f"  from {pipeline.source}"]
    for program in pipeline.requires:
        version = f" {program.version} or newer" if program.version else ""
        lines.append(f"  needs {program.program}{version}")
    lines.append("")
    width = max((len(stage.name) for stage in pipeline.stages), default=0)
    for stage in pipeline.stages:
        lines += _stage_lines(stage, width)
    for preset, stages in pipeline.presets.items():
        settings = [
            f"{stage}.{key}={_value(value)}"
            for stage, params in stages.items()
            for key, value in params.items()
        ]
        lines.append(f"preset {preset}: {', '.join(settings) or 'changes nothing'}")
    return [printable(line) for line in lines]


def _stage_lines(stage: Stage, width: int) -> list[str]:
    needs = f"  (needs {', '.join(stage.needs)})" if stage.needs else ""
    lines = [f"{stage.name:<{width}}  {stage.title}{needs}"]
    settings = [f"{key}={_value(value)}" for key, value in stage.params.items()]
    if settings:
        lines.append(f"{'':<{width}}  {', '.join(settings)}")
    return lines


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
