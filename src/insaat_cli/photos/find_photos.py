"""Find and check the input photos: what is used, what is left out, and why."""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import PhotosError, UsageError
from insaat_cli.formatting import counted, printable
from insaat_cli.photos.photo_file import (
    MAX_PIXELS,
    PhotoHeader,
    UnusableError,
    examine,
    is_named_like_a_photo,
    is_video,
    picture_readers,
)
from insaat_cli.photos.photo_set import MIN_PHOTOS, LeftOut, Photo, PhotoSet
from insaat_cli.workspace.workspace import is_workspace

REASONS_SHOWN = 8
READERS = 4
"""Files read at a time: headers and hashes wait for the disk more than for the processor."""
EARLIER_RESULTS = "the results of an earlier run"
GLOB_CHARACTERS = re.compile(r"[*?\[]")
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?=.)")
"""As a path has it, which makes one slash of two. A drive of Windows has one letter."""


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
    Raises UsageError for a source that is a URL or missing, OSError for one that cannot be read,
    PhotosError for fewer than MIN_PHOTOS photos.
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
            same = f"identical to {name_of[header.sha256]}"
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
        if _is_there(source):
            yield from _files_of(source, recursive, exclude)
            continue
        if url := URL.match(str(source)):
            address = f"{url[1]}://{str(source)[url.end() :]}"
            raise UsageError(
                f"cannot read photos from a URL: {printable(address)}",
                hint="download the photos, then use their folder",
            )
        matches = _matches(source)
        if not matches:
            pattern = GLOB_CHARACTERS.search(str(source))
            raise UsageError(
                f"{'nothing matches' if pattern else 'file or folder not found:'} "
                f"{printable(str(source))}",
                hint="use a folder of photos, photo files, or a pattern such as 'photos/*.jpg'",
            )
        for match in matches:
            yield from _files_of(match, recursive, exclude)


def _is_there(source: Path) -> bool:
    """Also a link to nothing. Raises OSError where nobody may know, as behind a closed folder."""
    try:
        source.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


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
    lines = [f"{found} in {where}{more}; at least {MIN_PHOTOS} are needed"]
    reasons = Counter(file.reason for file in photos.left_out)
    for file in photos.left_out:
        if len(lines) > REASONS_SHOWN:
            break
        if times := reasons.pop(file.reason, 0):
            others = f" and {counted(times - 1, 'other')}" if times > 1 else ""
            lines.append(f"  {printable(file.name)}{others}: {printable(file.reason)}")
    if reasons:
        lines.append(f"  … and {counted(len(reasons), 'other reason')}")
    return PhotosError("\n".join(lines), hint=_advice(photos, sources, recursive))


def _advice(photos: PhotoSet, sources: Sequence[Path], recursive: bool) -> str:
    """What to try where `photos` are too few."""
    where = printable(str(sources[0])) if len(sources) == 1 else "FOLDER"
    if not photos.used and not photos.left_out and not recursive:
        return (
            "use --recursive to include subfolders, "
            f"or insaat batch {where} to make one model of each"
        )
    only_videos = all(is_video(file.path) for file in photos.left_out)
    if not photos.used and photos.left_out and only_videos:
        return (
            f"run insaat frames {printable(str(photos.left_out[0].path))}, "
            "then insaat reconstruct on the folder of frames"
        )
    return "take 10 to 20 or more overlapping photos from all around the subject"
