"""Submitting photos as a job: check, downscale if asked, upload what is missing, commit."""

from __future__ import annotations

import base64
import dataclasses
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from insaat_cli.errors import UsageError
from insaat_cli.photos.downscale import resized_copy
from insaat_cli.photos.find_photos import find_photos
from insaat_cli.photos.photo_set import Photo, PhotoSet
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.defaults import ALWAYS_WRITTEN, DEFAULT_PIPELINE, DEFAULT_PRESET
from insaat_cli.pipeline.region import AUTO
from insaat_cli.pipeline.settings import (
    background_settings,
    completion_settings,
    region_settings,
)
from insaat_cli.remote.queue.job_spec import JobSpec, check_spec
from insaat_cli.remote.queue.job_state import MAX_PRIORITY, TAG_PATTERN, JobState, Status, new_txn
from insaat_cli.remote.queue.keys import input_key
from insaat_cli.remote.queue.queue import Queue
from insaat_cli.remote.store.manifest import FileEntry, sha256_of
from insaat_cli.remote.store.protocol import Progress
from insaat_cli.remote.store.safe_paths import contained
from insaat_cli.remote.store.transfer import Move, upload_missing

MAX_TAGS = 5


@dataclass(frozen=True, kw_only=True)
class SubmitOptions:
    """What the user asks for."""

    sources: tuple[Path, ...]
    recursive: bool = False
    pipeline: str = DEFAULT_PIPELINE
    preset: str = DEFAULT_PRESET
    settings: tuple[str, ...] = ()
    roi: str = AUTO
    """What is kept, see `pipeline/region.py`; it travels as a setting."""
    complete: Completion = Completion.ON
    """Whether plain surfaces are completed and small holes closed; settings too."""
    background: Background = Background.AUTO
    """Whether a background that stands still is left out; a setting too."""
    formats: tuple[str, ...] = (ALWAYS_WRITTEN,)
    priority: int = 50
    tags: tuple[str, ...] = ()
    notify: str = ""
    keep_days: int = 0
    """After its end, until a worker deletes it; 0: for ever."""
    resize: int | None = None
    """Longest side in pixels to which photos are reduced before the upload."""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    job: str
    photos: PhotoSet
    sent_bytes: int
    total_bytes: int


def submit(
    queue: Queue,
    options: SubmitOptions,
    *,
    allowed: Mapping[str, str],
    started: Callable[[int], None] = lambda total_bytes: None,
    progress: Progress | None = None,
    ring: Callable[[str], None] = lambda job: None,
) -> Submitted:
    """Nothing is a job before its last write; a submission that was cut off can be repeated.

    `ring` is told of the job once it is one."""
    _check_options(options)
    draft = JobSpec(
        job="",
        title=_title(options.sources),
        pipeline=options.pipeline,
        preset=options.preset,
        settings=options.settings,
        formats=options.formats,
        notify=options.notify,
        photos=(),
    )
    pipeline = check_spec(draft, allowed)
    settings = (
        *options.settings,
        *region_settings(pipeline, options.roi),
        *completion_settings(pipeline, options.complete),
        *background_settings(pipeline, options.background),
    )
    draft = replace(draft, settings=settings)
    check_spec(draft, allowed)
    photos = find_photos(options.sources, recursive=options.recursive)
    with _files(photos, options.resize) as files:
        entries = _entries(files)
        total_bytes = sum(entry.size for entry in entries)
        started(total_bytes)
        moves = [
            Move(input_key(entry.sha256), path, entry)
            for entry, (_, path) in zip(entries, files, strict=True)
        ]
        sent_bytes = upload_missing(queue.store, moves, progress=progress)
    job = new_job_id()
    sizes = tuple(_size(photo, options.resize) for photo, _ in files)
    spec = dataclasses.replace(draft, job=job, photos=tuple(entries), sizes=sizes)
    first = JobState(
        job=job,
        status=Status.QUEUED,
        priority=options.priority,
        keep_days=options.keep_days,
        tags=tuple(sorted(set(options.tags))),
        txn=new_txn(),
    )
    queue.submit(first, spec.to_bytes())
    ring(job)
    return Submitted(job=job, photos=photos, sent_bytes=sent_bytes, total_bytes=total_bytes)


def new_job_id() -> str:
    """Sortable by time, and not to be guessed."""
    tail = base64.b32encode(secrets.token_bytes(5)).decode("ascii").lower()
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{tail}"


def _check_options(options: SubmitOptions) -> None:
    if not 0 <= options.priority <= MAX_PRIORITY:
        raise UsageError(f"invalid priority {options.priority}", hint=f"use 0 to {MAX_PRIORITY}")
    bad = [tag for tag in options.tags if not TAG_PATTERN.fullmatch(tag)]
    if bad or len(options.tags) > MAX_TAGS:
        raise UsageError(
            f"invalid tags {', '.join(bad or options.tags)!r}",
            hint=f"use up to {MAX_TAGS} tags of lower-case letters, digits and hyphens",
        )


@contextmanager
def _files(photos: PhotoSet, max_side: int | None) -> Iterator[list[tuple[Photo, Path]]]:
    """Each photo with the file to send: its own, or a smaller copy."""
    if max_side is None:
        yield [(photo, photo.path) for photo in photos.used]
        return
    with tempfile.TemporaryDirectory(prefix="insaat-submit-") as folder:
        yield [
            (photo, resized_copy(photo, max_side, Path(folder) / str(number)))
            for number, photo in enumerate(photos.used)
        ]


def _size(photo: Photo, max_side: int | None) -> tuple[int, int]:
    """Width and height of what is sent, px."""
    longest = max(photo.width, photo.height)
    factor = min(1.0, (max_side or longest) / longest)
    return max(1, round(photo.width * factor)), max(1, round(photo.height * factor))


def _entries(files: list[tuple[Photo, Path]]) -> list[FileEntry]:
    names = _safe_names([photo.name for photo, _ in files])
    return [
        FileEntry(
            path=name,
            size=path.stat().st_size,
            sha256=photo.sha256 if path == photo.path else sha256_of(path),
        )
        for name, (photo, path) in zip(names, files, strict=True)
    ]


def _safe_names(names: list[str]) -> list[str]:
    """The photos' own names where every system can hold them, else numbered ones."""
    safe: list[str] = []
    taken: set[str] = set()
    for number, original in enumerate(names):
        name = original.replace(os.sep, "/")
        try:
            contained(name)
            fine = name.casefold() not in taken
        except Exception:
            fine = False
        if not fine:
            suffix = Path(original).suffix.lower()
            name = (
                f"photo-{number:05d}{suffix if suffix.isascii() and suffix.isprintable() else ''}"
            )
        taken.add(name.casefold())
        safe.append(name)
    return safe


def _title(sources: tuple[Path, ...]) -> str:
    name = sources[0].absolute().name if sources else ""
    return "".join(character if character.isprintable() else "_" for character in name)[:100]
