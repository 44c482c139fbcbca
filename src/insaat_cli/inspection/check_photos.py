"""`insaat check`: look at all photos and say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from insaat_cli.errors import ExitCode
from insaat_cli.inspection.advice import Advice, Severity
from insaat_cli.inspection.photo_overlap import Link, find_links
from insaat_cli.inspection.photo_quality import Look, look_at
from insaat_cli.inspection.photo_set_advice import advise
from insaat_cli.photos.find_photos import find_photos
from insaat_cli.photos.photo_file import picture_readers
from insaat_cli.photos.photo_set import PhotoSet

Progress = Callable[[float], None]

LOOK_SHARE = 0.7
"""Of the time; the rest is matching."""
EXIT_CODES = {Severity.UNUSABLE: ExitCode.PHOTOS, Severity.APART: ExitCode.DO_NOT_FIT}


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What to look at."""

    sources: Sequence[Path]
    recursive: bool = False
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was seen."""

    photos: PhotoSet
    looks: tuple[Look, ...]
    links: tuple[Link, ...]
    advice: tuple[Advice, ...]

    def exit_code(self, *, strict: bool) -> ExitCode:
        """0 where a run should work; with `strict`, only where there is no warning either."""
        severities = {advice.severity for advice in self.advice}
        for severity, code in EXIT_CODES.items():
            if severity in severities:
                return code
        return ExitCode.PHOTOS if strict and Severity.WARNING in severities else ExitCode.DONE

    def to_json(self) -> dict[str, Any]:
        neighbours = np.bincount(
            [end for one in self.links for end in (one.first, one.second)],
            minlength=len(self.looks),
        )
        return {
            "event": "checked",
            "photos": [
                {
                    "name": photo.name,
                    "sharpness": round(look.sharpness, 4),
                    "blown": round(look.blown, 4),
                    "black": round(look.black, 4),
                    "brightness_stops": round(look.brightness_stops, 3),
                    "neighbours": int(count),
                }
                for photo, look, count in zip(self.photos.used, self.looks, neighbours, strict=True)
            ],
            "left_out": [one.to_json() for one in self.photos.left_out],
            "advice": [one.to_json() for one in self.advice],
        }


def check_photos(options: CheckOptions, progress: Progress = lambda share: None) -> CheckReport:
    """Look at the photos. Raises UsageError and PhotosError as `find_photos` does."""
    photos = find_photos(options.sources, recursive=options.recursive)
    cv2.setNumThreads(1)  # one photo a thread is faster than one row a thread
    looks = []
    with picture_readers(), ThreadPoolExecutor(options.threads) as workers:
        for look in workers.map(lambda photo: look_at(photo.path), photos.used):
            looks.append(look)
            progress(LOOK_SHARE * len(looks) / len(photos.used))
    links = find_links(looks, options.threads)
    progress(1.0)
    return CheckReport(
        photos=photos,
        looks=tuple(looks),
        links=tuple(links),
        advice=tuple(advise(photos.used, looks, links)),
    )
