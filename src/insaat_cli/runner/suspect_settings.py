"""Settings that may be why the photos were of no use to a stage, so that they alone are not blamed.

A stage sees photos, depths and points, and not why they are few: whether the subject is plain, or a
setting has thrown the rest away.
"""

from __future__ import annotations

from insaat_cli.errors import DoNotFitError, InsaatError, PhotosError
from insaat_cli.pipeline.definition import Stage
from insaat_cli.pipeline.region import PARAMETER as REGION
from insaat_cli.planning.planner import Planner, changes

PHOTOS_BLAMED = (DoNotFitError, PhotosError)
MASKS = "or check the masks: black pixels are ignored, white ones are used"


def with_suspects(error: InsaatError, stage: Stage, planner: Planner) -> InsaatError:
    """`error` of `stage`; where it blames the photos, its hint names what else may be at fault."""
    if isinstance(error, PHOTOS_BLAMED):
        lines = [*_settings(stage, planner), *([MASKS] if planner.plan.masks else [])]
        error.hint = "\n".join([line for line in (error.hint, *lines) if line])
    return error


def _settings(stage: Stage, planner: Planner) -> list[str]:
    """One line for what the user has set, one for what was reduced, up to and in `stage`."""
    pipeline = planner.pipeline
    usual = planner.plan.usual or pipeline
    chosen, lowered = [], []
    for earlier in pipeline.stages:
        if stage.name not in pipeline.dependants(earlier.name):
            continue
        name, before = earlier.name, usual.stage(earlier.name).params
        for key, value in changes(before, earlier.params).items():
            option = f"--roi {value}" if key == REGION else f"--set {name}.{key}={value}"
            chosen.append(f"{option} (default {before[key]})")
        if not planner.failure_rung[name]:
            in_force = changes(earlier.params, planner.params[name])
            lowered += [f"{name}.{key} (to {value})" for key, value in in_force.items()]
    lines = []
    if chosen:
        lines.append(f"or drop {', '.join(chosen)}")
    if lowered:
        lines.append(f"or raise --max-memory: to fit in memory, {', '.join(lowered)} was reduced")
    return lines
