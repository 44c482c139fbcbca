"""Find, check and describe the input photos: what is used, what is left out, and why."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insaat_cli.errors import PhotosError, UsageError
from insaat_cli.photo_file import (
    MAX_PIXELS,
    PhotoHeader,
    UnusableError,
    examine,
    is_named_like_a_photo,
    picture_readers,
)
from insaat_cli.wording import counted, printable

MIN_PHOTOS = 3
REASONS_SHOWN = 8
READERS = 4
"""Files read at a time: headers and hashes wait for the disk more than for the processor."""
EARLIER_RESULTS = "the results of an earlier run"
GLOB_CHARACTERS = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that is used, as its headers describe it."""

    name: str
    """Unique among the photos of the run, for people: relative to the folder it was found in."""
    path: Path
    width: int
    height: int
    """Upright, in pixels."""
    sha256: str
    orientation: int = 1
    """EXIF, 1 to 8."""
    focal_mm: float | None = None
    focal_35mm: float | None = None
    focal_px: float | None = None
    """At the full size; None where the file does not say, or says what cannot be."""
    make: str | None = None
    model: str | None = None
    time: str | None = None
    """ISO 8601."""
    gps: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees (WGS 84), altitude in metres."""
    mask: Path | None = None
    """A picture of the same shape that is black where the photo is not to be used."""
    mask_sha256: str | None = None

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6

    def to_json(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self)
        mask = None if self.mask is None else str(self.mask)
        return {
            **fields,
            "path": str(self.path),
            "gps": self.gps and list(self.gps),
            "mask": mask,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Photo:
        gps, mask = fields["gps"], fields.get("mask")
        paths = {"path": Path(fields["path"]), "mask": Path(mask) if mask else None}
        return cls(**{**fields, **paths, "gps": tuple(gps) if gps else None})


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A file that is not used, and the reason in words."""

    name: str
    path: Path
    reason: str
    is_photo: bool = False
    """Something is lost with it: a photo, or a folder of them, but no duplicate."""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "path": str(self.path),
            "reason": self.reason,
            "is_photo": self.is_photo,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LeftOut:
        return cls(**{"is_photo": False, **fields, "path": Path(fields["path"])})


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    """The photos of one run, in the order of their names."""

    used: tuple[Photo, ...]
    left_out: tuple[LeftOut, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "photos": [photo.to_json() for photo in self.used],
            "left_out": [file.to_json() for file in self.left_out],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PhotoSet:
        return cls(
            used=tuple(Photo.from_json(photo) for photo in fields["photos"]),
            left_out=tuple(LeftOut.from_json(file) for file in fields["left_out"]),
        )


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A file to look at, or a place that could not be looked into (`fault`)."""

    root: Path
    path: Path
    fault: str = ""


def find_photos(
    sources: Sequence[Path],
    *,
    recursive: bool = False,
    exclude: Sequence[Path] = (),
    max_pixels: int = MAX_PIXELS,
) -> PhotoSet:
    """The usable photos in folders, files and glob patterns.

    `exclude` are folders whose contents are never photos (the output folder).
    Raises UsageError for a source that is not there, PhotosError for fewer than MIN_PHOTOS photos.
    """
    candidates = _ordered(_candidates(sources, recursive, frozenset(map(_real, exclude))))
    names = _unique_names(candidates)
    with warnings.catch_warnings(), picture_readers():
        warnings.simplefilter("ignore")  # Pillow's, about damaged metadata
        with ThreadPoolExecutor(READERS) as readers:
            results = readers.map(lambda file: _examined(file, max_pixels), candidates)
            photos = _sorted_out(zip(candidates, names, results, strict=True))
    if len(photos.used) < MIN_PHOTOS:
        raise _too_few(photos, sources, recursive)
    return photos


def _examined(candidate: _Candidate, max_pixels: int) -> PhotoHeader | str:
    if candidate.fault:
        return candidate.fault
    try:
        return examine(candidate.path, max_pixels=max_pixels)
    except UnusableError as error:
        return str(error)


def _sorted_out(
    results: Iterable[tuple[_Candidate, str, PhotoHeader | str]],
) -> PhotoSet:
    used: list[Photo] = []
    left_out: list[LeftOut] = []
    name_of: dict[str, str] = {}
    for candidate, name, header in results:
        if isinstance(header, PhotoHeader) and header.sha256 in name_of:
            same = f"the same picture as {name_of[header.sha256]}"
            left_out.append(LeftOut(name=name, path=candidate.path, reason=same))
            continue
        if isinstance(header, str):
            lost = is_named_like_a_photo(candidate.path) or _is_unseen_folder(candidate)
            left_out.append(LeftOut(name=name, path=candidate.path, reason=header, is_photo=lost))
            continue
        name_of[header.sha256] = name
        used.append(
            Photo(
                name=name,
                path=candidate.path,
                width=header.width,
                height=header.height,
                sha256=header.sha256,
                **dataclasses.asdict(header.exif),
            )
        )
    return PhotoSet(used=tuple(used), left_out=tuple(left_out))


def _is_unseen_folder(candidate: _Candidate) -> bool:
    return bool(candidate.fault) and candidate.fault != EARLIER_RESULTS


def _candidates(
    sources: Sequence[Path], recursive: bool, exclude: frozenset[str]
) -> Iterator[_Candidate]:
    for source in sources:
        if os.path.lexists(source):
            yield from _files_of(source, recursive, exclude)
            continue
        matches = _matches(source)
        if not matches:
            pattern = GLOB_CHARACTERS.search(str(source))
            raise UsageError(
                f"{'nothing matches' if pattern else 'there is no file or folder'} "
                f"{printable(str(source))}",
                hint="give a folder of photos, photo files, or a pattern such as 'photos/*.jpg'",
            )
        for match in matches:
            yield from _files_of(match, recursive, exclude)


def _matches(pattern: Path) -> list[Path]:
    """What a shell would have made of the pattern, had it not been quoted."""
    absolute = pattern.absolute()
    fixed = next(part for part in absolute.parents if not GLOB_CHARACTERS.search(str(part)))
    return sorted(fixed.glob(str(absolute.relative_to(fixed))))


def _files_of(source: Path, recursive: bool, exclude: frozenset[str]) -> Iterator[_Candidate]:
    source = source.absolute()
    if source.is_dir() and is_workspace(source):
        yield _Candidate(root=source.parent, path=source, fault=EARLIER_RESULTS)
    elif source.is_dir():
        yield from _walk(source, source, recursive, exclude, {_real(source)})
    elif not any(_real(parent) in exclude for parent in source.parents):
        yield _Candidate(root=source.parent, path=source)


def _walk(
    root: Path, folder: Path, recursive: bool, exclude: frozenset[str], seen: set[str]
) -> Iterator[_Candidate]:
    try:
        with os.scandir(folder) as entries:
            found = [(Path(entry.path), entry.name) for entry in entries]
    except OSError as error:
        yield _Candidate(root=root, path=folder, fault=f"cannot be opened: {error.strerror}")
        return
    for path, name in found:
        if name.startswith("."):  # .DS_Store, ._IMG_1.jpg, .thumbnails: not the user's photos
            continue
        if not path.is_dir():
            yield _Candidate(root=root, path=path)
        elif recursive and (real := _real(path)) not in exclude and real not in seen:
            seen.add(real)
            if is_workspace(path):
                yield _Candidate(root=root, path=path, fault=EARLIER_RESULTS)
            else:
                yield from _walk(root, path, recursive, exclude, seen)


def is_workspace(folder: Path) -> bool:
    """Whether a run wrote its results and its smaller copies of the photos here."""
    return (folder / "stages").is_dir() and (folder / "photos.json").is_file()


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _ordered(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Each path once; folders in the order given, files in natural order of their names."""
    rank: dict[Path, int] = {}
    once: dict[Path, _Candidate] = {}
    for candidate in candidates:
        rank.setdefault(candidate.root, len(rank))
        once.setdefault(candidate.path, candidate)
    return sorted(
        once.values(),
        key=lambda file: (rank[file.root], natural_key(str(file.path.relative_to(file.root)))),
    )


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sorts IMG_9 before IMG_10, and upper case beside lower case."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    keys = ((0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts)
    return tuple(keys), name


def _unique_names(candidates: Sequence[_Candidate]) -> list[str]:
    """Names relative to the source, with as many of its parents as it takes to be unique."""
    parents = [0] * len(candidates)
    while True:
        names = [_name(file, index, parents[index]) for index, file in enumerate(candidates)]
        times = Counter(names)
        clashes = [index for index, name in enumerate(names) if times[name] > 1]
        if not clashes:
            return names
        for index in clashes:
            parents[index] += 1


def _name(candidate: _Candidate, index: int, parents: int) -> str:
    relative = candidate.path.relative_to(candidate.root)
    above = candidate.root.parts[1:]
    if candidate.path == candidate.root:
        relative, above = Path(candidate.root.name), above[:-1]
    shown = above[len(above) - min(parents, len(above)) :]
    name = "/".join((*shown, *relative.parts))
    if parents > len(above):  # different bytes on disk, the same text
        name = f"{name} ({index + 1}.{parents - len(above)})"
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _too_few(photos: PhotoSet, sources: Sequence[Path], recursive: bool) -> PhotosError:
    where = ", ".join(printable(str(source)) for source in sources[:3])
    more = ", …" if len(sources) > 3 else ""
    count = len(photos.used)
    found = "no usable photo" if count == 0 else f"only {counted(count, 'usable photo')}"
    lines = [f"{found} in {where}{more}; {MIN_PHOTOS} are needed at least"]
    reasons = Counter(file.reason for file in photos.left_out)
    for file in photos.left_out:
        if len(lines) > REASONS_SHOWN:
            break
        if times := reasons.pop(file.reason, 0):
            others = f" and {counted(times - 1, 'other')}" if times > 1 else ""
            lines.append(f"  {printable(file.name)}{others}: {printable(file.reason)}")
    if reasons:
        lines.append(f"  … and {counted(len(reasons), 'other reason')}")
    hint = "take at least 10 to 20 overlapping photos of the subject from all around"
    if count == 0 and not photos.left_out and not recursive:
        hint = "--recursive looks into folders inside the folder as well"
    return PhotosError("\n".join(lines), hint=hint)
