"""The main job from end to end: photos, plan, run, report. Commands only call this."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import insaat_cli
from insaat_cli.errors import InsaatError, StoppedError, UsageError
from insaat_cli.formatting import printable
from insaat_cli.machine.limits import machine_limits
from insaat_cli.machine.memory_budget import memory_budget
from insaat_cli.machine.numba_cache import require_folder
from insaat_cli.photos.find_photos import find_photos
from insaat_cli.photos.masks import fingerprints, with_masks
from insaat_cli.photos.photo_set import PhotoSet
from insaat_cli.pipeline.defaults import ALWAYS_WRITTEN, DEFAULT_PIPELINE, check_formats
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.pipeline.loader import find_pipeline
from insaat_cli.pipeline.settings import (
    background_settings,
    completion_settings,
    region_settings,
    with_preset,
    with_settings,
)
from insaat_cli.planning.run_plan import RunPlan, foreseen_results
from insaat_cli.planning.scheduler import Budget
from insaat_cli.reconstruction.options import (
    AUTO,
    Keep,
    ReconstructionOptions,
    output_of,
)
from insaat_cli.reconstruction.shortfall import Shortfall, shortfall_of
from insaat_cli.report.page import write_report
from insaat_cli.runner.events import Listener, PhotosFound, ReportWritten
from insaat_cli.runner.loop import run_pipeline
from insaat_cli.runner.run_result import RunResult
from insaat_cli.workspace.json_file import read_object
from insaat_cli.workspace.path_errors import explain_paths
from insaat_cli.workspace.workspace import Workspace, explain_disk, is_workspace

EXPORT_STAGE = "export"
MASKING_RUN = "insaat_cli.stages.dense"
"""The stage whose depth heeds masks; no other stereo program is told of them."""


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What came of it."""

    photos: PhotoSet
    run: RunResult
    report: Path | None
    """None after a dry run."""
    strict: bool = False
    """A shortfall is to be told as an error; the result stands."""

    @property
    def shortfall(self) -> Shortfall:
        return shortfall_of(self.run, len(self.photos.used), self.photos.left_out)

    @property
    def error(self) -> InsaatError | None:
        """What is to be told of a run that ended well; a dry run lost nothing yet."""
        if not self.strict or self.report is None:
            return None
        return self.shortfall.error() if self.shortfall else None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A reconstruction that can start."""

    options: ReconstructionOptions
    photos: PhotoSet
    plan: RunPlan


def budget_for(options: ReconstructionOptions) -> Budget:
    """What a run, or several side by side, may use of this machine: computed once, for all."""
    limits = machine_limits()
    memory = memory_budget(limits, options.max_memory)
    return Budget(
        memory_bytes=memory.memory_bytes,
        cores=options.threads or limits.cores,
        stretch_bytes=memory.stretch_bytes,
    )


def prepare(
    options: ReconstructionOptions, listener: Listener, budget: Budget, *, to_run: bool = True
) -> Prepared:
    """Find the photos and choose the settings; any expected fault is an InsaatError.

    `to_run` False: nothing will be written, so the output folder does not matter.
    """
    with explain_paths():
        return _prepare(options, listener, budget, to_run=to_run)


def _prepare(
    options: ReconstructionOptions, listener: Listener, budget: Budget, *, to_run: bool
) -> Prepared:
    output = output_of(options)
    _check_apart(output, options.sources)
    # What is wrong with it is said before photos are looked through.
    pipeline = chosen_pipeline(options)
    if options.masks is not None and not any(s.run == MASKING_RUN for s in pipeline.stages):
        raise UsageError(
            f"pipeline {pipeline.name} does not support masks", hint="use --pipeline embedded"
        )
    if to_run:
        check_output(options, pipeline)
        require_folder(os.environ, Path(insaat_cli.__file__).parent)
    photos = find_photos(
        options.sources,
        recursive=options.recursive,
        exclude=[*_never_photos(output, options.sources), *_masks_among(options)],
    )
    if options.masks is not None:
        photos = with_masks(photos, options.masks)
    listener(
        PhotosFound(
            used=len(photos.used), left_out={file.name: file.reason for file in photos.left_out}
        )
    )
    return Prepared(options=options, photos=photos, plan=plan_of(options, photos, budget))


def reconstruct(options: ReconstructionOptions, listener: Listener) -> Reconstruction:
    """Reconstruct the photos of `options.sources`; any expected fault is an InsaatError."""
    prepared = prepare(options, listener, budget_for(options))
    try:
        result = run_pipeline(prepared.plan, listener)
    except InsaatError as error:
        if not options.dry_run:
            after_failure(prepared, error)
        raise
    if options.dry_run:
        return Reconstruction(photos=prepared.photos, run=result, report=None)
    return after_success(prepared, result, listener)


def after_failure(prepared: Prepared, error: InsaatError) -> None:
    """Write the report of a run that failed; one that was stopped, or never began, has none."""
    recorded = read_object(Workspace(prepared.plan.workspace).record).get("error")
    began = isinstance(recorded, dict) and recorded.get("message") == error.message
    if isinstance(error, StoppedError) or not began:
        return
    # The page is a help on top of the error, which must reach the user in any case.
    with suppress(OSError, ValueError, InsaatError):
        write_report(prepared.plan.workspace, command=prepared.options.command)


def after_success(prepared: Prepared, result: RunResult, listener: Listener) -> Reconstruction:
    """Write the report, and remove what is not to be kept."""
    with explain_disk(result.workspace):
        report = write_report(result.workspace, command=prepared.options.command)
        if prepared.options.keep is Keep.RESULT and result.results:
            Workspace(result.workspace).drop_stages()
    listener(ReportWritten(report=report))
    return Reconstruction(
        photos=prepared.photos, run=result, report=report, strict=prepared.options.strict
    )


def check_output(options: ReconstructionOptions, pipeline: Pipeline) -> None:
    """UsageError where the results must not, or could not, be written; writes nothing."""
    stages = [stage.name for stage in pipeline.stages]
    workspace = Workspace(output_of(options))
    workspace.check(stages, foreseen_results(pipeline), overwrite=options.overwrite)


def chosen_pipeline(options: ReconstructionOptions) -> Pipeline:
    """The pipeline with preset, settings and output formats applied."""
    pipeline = with_settings(usual_pipeline(options), options.settings)
    pipeline = with_settings(pipeline, region_settings(pipeline, options.roi))
    pipeline = with_settings(pipeline, completion_settings(pipeline, options.complete))
    pipeline = with_settings(pipeline, background_settings(pipeline, options.background))
    formats = tuple(dict.fromkeys((ALWAYS_WRITTEN, *options.formats)))
    check_formats(formats)
    if formats == (ALWAYS_WRITTEN,):
        return pipeline
    return with_settings(pipeline, [f"{EXPORT_STAGE}.formats={','.join(formats)}"])


def usual_pipeline(options: ReconstructionOptions) -> Pipeline:
    """The pipeline with its preset, as it would be without the user's own settings."""
    name = DEFAULT_PIPELINE if options.pipeline == AUTO else options.pipeline
    return with_preset(find_pipeline(name), options.preset)


def plan_of(options: ReconstructionOptions, photos: PhotoSet, budget: Budget) -> RunPlan:
    """What is to be done with `photos`, within `budget`."""
    return RunPlan(
        pipeline=chosen_pipeline(options),
        preset=options.preset,
        usual=usual_pipeline(options),
        photos=photos.used,
        left_out=photos.left_out,
        masks=fingerprints(photos),
        workspace=output_of(options),
        memory_budget_bytes=budget.memory_bytes,
        memory_stretch_bytes=budget.stretch_bytes,
        threads=budget.cores,
        from_stage=options.from_stage,
        until_stage=options.until_stage,
        restart=options.restart,
        dry_run=options.dry_run,
        degrade=options.degrade,
        deadlines=options.deadlines,
        overwrite=options.overwrite,
    )


def _check_apart(output: Path, sources: tuple[Path, ...]) -> None:
    """Results among the photos would be taken for photos by the next run."""
    same = [source for source in sources if source.resolve() == output.resolve()]
    earlier = is_workspace(output) and len(same) < len(sources)  # from a pattern such as photos/*
    if same and not earlier:
        raise UsageError(
            f"the output folder {printable(str(output))} is also the photo folder",
            hint="choose another output folder with -o; one inside it is fine",
        )


def _masks_among(options: ReconstructionOptions) -> list[Path]:
    """The folder of masks, which holds no photos; UsageError where it is the photos' own."""
    if options.masks is None:
        return []
    if any(source.resolve() == options.masks.resolve() for source in options.sources):
        raise UsageError(
            f"the mask folder {printable(str(options.masks))} is also the photo folder",
            hint="put the masks in a separate folder",
        )
    return [options.masks.resolve()]


def _never_photos(output: Path, sources: tuple[Path, ...]) -> list[Path]:
    """The output folder; or, where the photos lie inside it, only what a run writes deep in it."""
    root = output.resolve()
    inside = any(source.resolve().is_relative_to(root) for source in sources)
    return [root / "stages"] if inside else [root]
