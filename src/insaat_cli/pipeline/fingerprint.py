"""Fingerprints: the only thing that decides whether a finished stage still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from insaat_cli.pipeline.definition import FORMATS_PARAMETER, Pipeline, Stage
from insaat_cli.pipeline.parameters import Params


def stage_fingerprint(stage: Stage, needs: Mapping[str, str], photos: str) -> str:
    """Of the work asked for: what runs, its parameters, and the identities of its inputs.

    `photos` counts for the stages that need no other; the rest see it through their needs.
    """
    return digest(
        {
            "version": stage.version,
            "run": stage.run,
            "command": stage.command,
            "params": dict(stage.params),
            "outputs": stage.outputs,
            "needs": {need: needs[need] for need in stage.needs},
            "photos": "" if stage.needs else photos,
        }
    )


def stage_identity(fingerprint: str, params: Params) -> str:
    """Of the result: the same work done with reduced settings is another input downstream."""
    return digest({"fingerprint": fingerprint, "params": dict(params)})


def request_fingerprint(pipeline: Pipeline, photos: str) -> str:
    """Of the results asked for: photos, and the settings of all stages that shape them.

    What runs out of memory may be made with lower settings; it is the same request.
    """
    identities: dict[str, str] = {}
    for stage in pipeline.stages:
        # Which formats are written changes nothing in the files of the others.
        params = {key: value for key, value in stage.params.items() if key != FORMATS_PARAMETER}
        fingerprint = stage_fingerprint(replace(stage, params=params), identities, photos)
        identities[stage.name] = stage_identity(fingerprint, params)
    return identities[pipeline.stages[-1].name]


def photos_fingerprint(photos: Iterable[tuple[str, str]]) -> str:
    """Of names and SHA-256 sums, in whatever order."""
    return digest(sorted(photos))


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
