"""What a submitter asks for: photos by hash, a pipeline by name, settings by value.

A spec is text from whoever may write to the bucket. It can name only pipelines that the worker's
operator allows, and only values for parameters that the pipeline has: never a program, an argument
or a path.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insaat_cli.errors import MachineError, StoreError, UsageError
from insaat_cli.formatting import size
from insaat_cli.pipeline.defaults import (
    ALWAYS_WRITTEN,
    DEFAULT_PIPELINE,
    DEFAULT_PRESET,
    check_formats,
)
from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines
from insaat_cli.pipeline.settings import with_preset, with_settings
from insaat_cli.remote.queue.keys import spec_key
from insaat_cli.remote.queue.mail_address import check_address
from insaat_cli.remote.store.json_body import read_json
from insaat_cli.remote.store.manifest import FileEntry, file_entries
from insaat_cli.remote.store.protocol import CorruptError, Store

FORMAT = 1
NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}")
SETTING = re.compile(
    r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*=[A-Za-z0-9+*][A-Za-z0-9_.,+*% -]{0,99}|"
    r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*=-?[0-9.]{1,30}(?:,-?[0-9.]{1,30}){0,5}"
)
MAX_SETTINGS = 100
MAX_TITLE = 200
MAX_SIDE = 1_000_000
MAX_PHOTOS = 20_000
MAX_PHOTO_BYTES = 4_000_000_000
MAX_PHOTOS_BYTES = 500_000_000_000
MAX_SPEC_BYTES = 32 << 20
"""100,000 photos with long names have less."""


class OutdatedError(MachineError, StoreError):
    """This version is too old to read what is in the store."""


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """Written once, before the job exists; never changed."""

    job: str
    title: str = ""
    """For people: the name of the photo folder."""
    pipeline: str = DEFAULT_PIPELINE
    preset: str = DEFAULT_PRESET
    settings: tuple[str, ...] = ()
    formats: tuple[str, ...] = (ALWAYS_WRITTEN,)
    notify: str = ""
    photos: tuple[FileEntry, ...]
    sizes: tuple[tuple[int, int], ...] = ()
    """Width and height of each photo, px, by which workers predict memory; (): not said."""

    def to_bytes(self) -> bytes:
        fields = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> JobSpec:
        """Raises StoreError for what cannot be read, UsageError for what may not be asked,
        OutdatedError for what a newer version than this one has written."""
        try:
            raw = read_json(body)
            version = raw.pop("format")
        except (ValueError, KeyError) as error:
            raise StoreError(f"the job's spec.json cannot be read: {error}") from error
        raw.setdefault("sizes", [])  # specs of earlier versions do not say
        known = {field.name for field in dataclasses.fields(cls)}
        newer = type(version) is int and version > FORMAT
        if newer or (version == FORMAT and set(raw) > known):
            # What it asks for beyond may matter: somebody else may know.
            raise OutdatedError(
                "this insaat is too old for the job: a newer version submitted it",
                hint="update insaat on the workers",
            )
        if version != FORMAT or set(raw) != known:
            raise StoreError("the job's spec.json has an unsupported format or was tampered with")
        photos = file_entries(raw["photos"])
        return cls(
            job=_text(raw["job"]),
            title=_text(raw["title"]),
            pipeline=_text(raw["pipeline"]),
            preset=_text(raw["preset"]),
            settings=_texts(raw["settings"]),
            formats=_texts(raw["formats"]),
            notify=_text(raw["notify"]),
            photos=photos,
            sizes=_sizes(raw["sizes"], len(photos)),
        )


def read_spec(store: Store, job: str, sha256: str = "") -> JobSpec | None:
    """What was asked for; None where there is nothing. Raises as `JobSpec.from_bytes` does, and
    CorruptError where the bytes are not those of `sha256`, which the job's state names."""
    blob = store.get(spec_key(job), limit=MAX_SPEC_BYTES)
    if blob is None:
        return None
    if sha256 and hashlib.sha256(blob.body).hexdigest() != sha256:
        raise CorruptError(
            "the job's spec.json is not the one that was submitted",
            hint="somebody replaced it, or it is damaged: submit the photos again",
        )
    return JobSpec.from_bytes(blob.body)


class NotAllowedError(MachineError, UsageError):
    """The job's pipeline is not among those that are allowed here; elsewhere it may be."""


def allowed_pipelines(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Name → what `find_pipeline` takes: the shipped ones, and the operator's own."""
    return {name: name for name in shipped_pipelines()} | dict(extra or {})


def check_spec(spec: JobSpec, allowed: Mapping[str, str]) -> Pipeline:
    """The pipeline as the spec asks for it; UsageError for what is not allowed."""
    if not NAME.fullmatch(spec.pipeline):
        raise UsageError(f"invalid pipeline name {spec.pipeline!r:.100}")
    if spec.pipeline not in allowed:
        raise NotAllowedError(
            f"pipeline {spec.pipeline!r} is not allowed here",
            hint=f"choose from {', '.join(sorted(allowed))}, or add it with --allow-pipeline FILE",
        )
    if len(spec.settings) > MAX_SETTINGS:
        raise UsageError(f"too many settings: {len(spec.settings)}, the limit is {MAX_SETTINGS}")
    for setting in spec.settings:
        if not SETTING.fullmatch(setting):
            raise UsageError(
                f"setting {setting!r:.150} is not allowed in a remote job",
                hint="use a number or a plain word as value; paths are not allowed",
            )
    _check_amount(spec)
    check_formats(spec.formats)
    if spec.notify:
        check_address(spec.notify)
    pipeline = with_preset(find_pipeline(allowed[spec.pipeline]), spec.preset)
    return with_settings(pipeline, spec.settings)


def _check_amount(spec: JobSpec) -> None:
    """More than any camera or person makes is meant to fill somebody's disk."""
    total_bytes = sum(photo.size for photo in spec.photos)
    largest_bytes = max((photo.size for photo in spec.photos), default=0)
    if len(spec.photos) > MAX_PHOTOS:
        raise UsageError(f"too many photos: {len(spec.photos)}, the limit is {MAX_PHOTOS}")
    if total_bytes > MAX_PHOTOS_BYTES or largest_bytes > MAX_PHOTO_BYTES:
        raise UsageError(
            f"the photos are too large: {size(total_bytes)}, the largest {size(largest_bytes)}",
            hint=f"the limits are {size(MAX_PHOTOS_BYTES)}, and {size(MAX_PHOTO_BYTES)} for each",
        )


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TITLE:
        raise StoreError("the job's spec.json is damaged")
    return value


def _sizes(value: Any, photos: int) -> tuple[tuple[int, int], ...]:
    """Wrong ones can only harm the job itself: it is granted what they ask for, and no more."""
    if not isinstance(value, list) or len(value) not in {0, photos}:
        raise StoreError("the job's spec.json is damaged")
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise StoreError("the job's spec.json is damaged")
        if not all(type(side) is int and 0 < side <= MAX_SIDE for side in pair):
            raise StoreError("the job's spec.json is damaged")
    return tuple((width, height) for width, height in value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise StoreError("the job's spec.json is damaged")
    return tuple(_text(item) for item in value)
