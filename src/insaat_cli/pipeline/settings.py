"""How presets, settings and ladders change the parameters of a pipeline's stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from insaat_cli.errors import UsageError
from insaat_cli.formatting import suggestion
from insaat_cli.pipeline.background import PARAMETER as BACKGROUND
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import CLOSE_LEVELS, MODE, STAGE, Completion
from insaat_cli.pipeline.defaults import DEFAULT_PRESET
from insaat_cli.pipeline.definition import (
    MEMORY_KEY,
    SWITCH,
    THREADS_KEY,
    Ladder,
    Multiplier,
    Pipeline,
    Stage,
)
from insaat_cli.pipeline.parameters import Params, ParamValue
from insaat_cli.pipeline.region import AUTO, OFF, PARAMETER, read_box


def with_preset(pipeline: Pipeline, preset: str) -> Pipeline:
    """`pipeline` with the parameters of `preset`.

    One without presets is what it is; it takes the default preset's name, and no other.
    """
    if not pipeline.presets and preset == DEFAULT_PRESET:
        return pipeline
    if preset not in pipeline.presets:
        raise UsageError(
            f"pipeline {pipeline.name}: unknown preset {preset!r}",
            hint=suggestion(preset, pipeline.presets) if pipeline.presets else "it has no presets",
        )
    return _with_params(pipeline, pipeline.presets[preset])


def with_settings(pipeline: Pipeline, settings: Sequence[str]) -> Pipeline:
    """`pipeline` with "STAGE.PARAMETER=VALUE" settings.

    Raises UsageError for a setting of nothing, or outside of what its parameter may be.
    """
    changes: dict[str, dict[str, ParamValue]] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        stage_name, dot, param = key.strip().partition(".")
        if not equals or not dot:
            raise UsageError(
                f"invalid setting {setting!r}",
                hint="use STAGE.PARAMETER=VALUE, for example dense.max_side=1600",
            )
        stage = pipeline.stage(stage_name)
        if param not in stage.params:
            raise UsageError(
                f"stage {stage_name}: unknown parameter {param!r}",
                hint=suggestion(param, stage.params)
                if stage.params
                else "this stage has no parameters",
            )
        value = stage.parameter(param).parsed(f"{stage_name}.{param}", text.strip())
        changes.setdefault(stage_name, {})[param] = value
    return _with_params(pipeline, changes)


def region_settings(pipeline: Pipeline, choice: str) -> tuple[str, ...]:
    """The settings that `--roi choice` stands for, STAGE.PARAMETER=VALUE.

    Raises UsageError for a text that is no choice, and where no stage of `pipeline` can do it.
    """
    if choice not in (AUTO, OFF):
        low, high = read_box(choice)
        choice = ",".join(f"{value:.6f}" for value in (*low, *high))
    stages = [stage.name for stage in pipeline.stages if PARAMETER in stage.params]
    if not stages and choice not in (AUTO, OFF):
        raise UsageError(
            f"pipeline {pipeline.name} does not support --roi",
            hint="use --pipeline embedded, or crop the model in another program",
        )
    # The default is left to the pipeline file, and to --set.
    return () if choice == AUTO else tuple(f"{name}.{PARAMETER}={choice}" for name in stages)


def completion_settings(pipeline: Pipeline, choice: Completion) -> tuple[str, ...]:
    """The settings that `--complete choice` stands for, STAGE.PARAMETER=VALUE.

    Raises UsageError where it is switched off and no stage of `pipeline` can do without.
    """
    if choice is Completion.ON:
        return ()  # the default is left to the pipeline file, and to --set
    settings = tuple(
        f"{stage.name}.{key}={value}"
        for stage in pipeline.stages
        for key, value in ((MODE, choice), (CLOSE_LEVELS, 0))
        if key in stage.params and (key != MODE or stage.name == STAGE)
    )
    if not settings:
        raise UsageError(
            f"pipeline {pipeline.name} does not support --complete off",
            hint="use --pipeline embedded",
        )
    return settings


def background_settings(pipeline: Pipeline, choice: Background) -> tuple[str, ...]:
    """The settings that `--background choice` stands for, STAGE.PARAMETER=VALUE."""
    if choice is Background.AUTO:
        return ()  # the default is left to the pipeline file, and to --set
    stages = (stage.name for stage in pipeline.stages if BACKGROUND in stage.params)
    return tuple(f"{name}.{BACKGROUND}={choice}" for name in stages)


def climb(stage: Stage, ladder: Ladder, rungs: int, params: Params) -> tuple[Params, int | None]:
    """`params` and the number of threads (None: unchanged) after the first `rungs` rungs.

    A rung keeps what the rungs before it set; a multiplier is relative to `params` themselves, and
    leads to the end of the parameter's range at most.
    """
    changed = dict(params)
    threads: int | None = None
    for rung in ladder[:rungs]:
        for key, value in rung.items():
            if key == THREADS_KEY and isinstance(value, int):
                threads = value
            elif key == MEMORY_KEY and key not in params:
                continue
            elif isinstance(value, Multiplier):
                changed[key] = stage.parameter(key).clamped(value.apply(params[key]))
            else:
                changed[key] = value
    return changed, threads


def idle(params: Params) -> bool:
    """Whether a stage with these parameters only hands on what it reads: `enabled` is false."""
    return params.get(SWITCH) is False


def memory_share(ladder: Ladder, rungs: int) -> float:
    """What the first `rungs` rungs leave of the predicted memory, beyond what the model knows."""
    share = 1.0
    for rung in ladder[:rungs]:
        value = rung.get(MEMORY_KEY)
        share = value.factor if isinstance(value, Multiplier) else share
    return share


def _with_params(pipeline: Pipeline, changes: Mapping[str, Params]) -> Pipeline:
    stages = [
        replace(stage, params={**stage.params, **changes.get(stage.name, {})})
        for stage in pipeline.stages
    ]
    return replace(pipeline, stages=tuple(stages))
