"""`insaat plan`: what a reconstruction would take, stage by stage, without doing it."""

from __future__ import annotations

import typer

from insaat_cli.cli.options import (
    BackgroundOption,
    CompleteOption,
    FormatOption,
    JsonOption,
    MemoryOption,
    NoDegradeOption,
    PipelineOption,
    PresetOption,
    RecursiveOption,
    RoiOption,
    SetOption,
    ThreadsOption,
    listed_formats,
)
from insaat_cli.cli.reconstruct import PhotosArgument
from insaat_cli.cli.session import output_for
from insaat_cli.formatting import counted, printable, size
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.defaults import DEFAULT_PRESET
from insaat_cli.pipeline.region import AUTO
from insaat_cli.reconstruction.options import ReconstructionOptions


def plan_command(
    context: typer.Context,
    photos: PhotosArgument,
    pipeline: PipelineOption = "auto",
    preset: PresetOption = DEFAULT_PRESET,
    formats: FormatOption = "glb",
    recursive: RecursiveOption = False,
    settings: SetOption = None,
    roi: RoiOption = AUTO,
    complete: CompleteOption = Completion.ON,
    background: BackgroundOption = Background.AUTO,
    max_memory: MemoryOption = None,
    threads: ThreadsOption = None,
    no_degrade: NoDegradeOption = False,
    json: JsonOption = False,
) -> None:
    """Predict memory, time and disk space for each stage and preset, without running anything."""
    from insaat_cli.display.forecast_table import forecast_fields, preset_lines, stage_lines
    from insaat_cli.machine.limits import machine_limits
    from insaat_cli.reconstruction.preset_forecast import forecast_presets

    out = output_for(context, json=json)
    options = ReconstructionOptions(
        sources=tuple(photos),
        pipeline=pipeline,
        preset=preset,
        formats=listed_formats(formats),
        recursive=recursive,
        settings=tuple(settings or ()),
        roi=roi,
        complete=complete,
        background=background,
        max_memory=max_memory,
        threads=threads,
        degrade=not no_degrade,
    )
    with out.listening(board=False) as listener:
        found = forecast_presets(options, listener)
    chosen = found[preset]
    limits = machine_limits()
    out.line(
        printable(
            f"{counted(len(chosen.plan.photos), 'photo')}; memory limit "
            f"{size(limits.memory_bytes)} ({limits.memory_source}), budget "
            f"{size(chosen.plan.memory_budget_bytes)}, "
            f"{counted(chosen.plan.threads, 'thread')}"
        )
    )
    for forecast in found.values():
        out.json(forecast_fields(forecast))
    for line in [*stage_lines(chosen), "", *preset_lines(found)]:
        out.line(printable(line))
