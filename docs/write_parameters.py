"""Write parameters.md, beside this file, from the descriptions that the program itself checks by.

Run by `make docs`; a test compares.
"""

from __future__ import annotations

from pathlib import Path

from insaat_cli.pipeline.definition import Pipeline, Stage
from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines
from insaat_cli.pipeline.parameters import ParamValue, value_text

PAGE = Path(__file__).with_name("parameters.md")
FIRST = "embedded"
INTRODUCTION = """\
# Parameters

<!-- Written by docs/write_parameters.py: change src/insaat_cli/stages/*.yaml and `make docs`. -->

Every parameter of every stage: `--set STAGE.PARAMETER=VALUE` changes one, `insaat pipelines show
NAME` lists the same in a terminal, and a value outside of what is allowed is refused before any
work. Where memory is short or a stage fails, the program lowers some of them by itself, never out
of their ranges.
"""


def page() -> str:
    """The whole page."""
    names = sorted(shipped_pipelines(), key=lambda name: (name != FIRST, name))
    described: dict[str, tuple[Pipeline, Stage]] = {}
    parts = [INTRODUCTION]
    for pipeline in map(find_pipeline, names):
        parts.append(f"## {pipeline.name}\n\n{pipeline.summary}.\n")
        for stage in pipeline.stages:
            known = described.setdefault(str(stage.run), (pipeline, stage))
            parts.append(f"### {pipeline.name}: {stage.name}\n")
            if not stage.params:
                parts.append(f"{sentence(stage.title)} It has no parameters.\n")
            elif known[1] is stage:
                parts.append(f"{sentence(stage.title)}\n\n{table(pipeline, stage)}\n")
            else:
                parts.append(f"{sentence(stage.title)} {differences(pipeline, stage, *known)}\n")
    return "\n".join(parts)


def table(pipeline: Pipeline, stage: Stage) -> str:
    rows = ["| parameter | default | presets | allowed | meaning |", "|---|---|---|---|---|"]
    for name, value in stage.params.items():
        parameter = stage.parameter(name)
        cells = [
            f"`{name}`",
            code(value),
            ", ".join(f"{preset} {code(own)}" for preset, own in of_presets(pipeline, stage, name)),
            parameter.range,
            parameter.about,
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def differences(pipeline: Pipeline, stage: Stage, other: Pipeline, known: Stage) -> str:
    """Where the same stage is described, and what differs in this pipeline."""
    anchor = f"{other.name}-{known.name}"
    found = [f"As in [{other.name}](#{anchor})"]
    for name, value in stage.params.items():
        own = [("default", value), *of_presets(pipeline, stage, name)]
        if own != [("default", known.params[name]), *of_presets(other, known, name)]:
            values = ", ".join(f"{preset} {code(one)}" for preset, one in own)
            found.append(f"`{name}`: {values}")
    return "; ".join(found) + "."


def of_presets(pipeline: Pipeline, stage: Stage, name: str) -> list[tuple[str, ParamValue]]:
    """What presets set the parameter to."""
    return [
        (preset, changes[stage.name][name])
        for preset, changes in pipeline.presets.items()
        if name in changes.get(stage.name, {})
    ]


def code(value: ParamValue) -> str:
    return f"`{value_text(value)}`"


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
