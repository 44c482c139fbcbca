"""Which photo sets a batch is made of: folders side by side, or a YAML file that lists jobs.

defaults: {preset: draft}
jobs:
  - photos: church            # a folder, or a list of folders and files; relative to this file
    name: church              # default: the name of the folder
    output: models/church     # default: beside the photos
    preset: high
    set: {dense.max_side: 900}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from insaat_cli.errors import UsageError
from insaat_cli.formatting import printable
from insaat_cli.pipeline.background import Background
from insaat_cli.pipeline.completion import Completion
from insaat_cli.pipeline.loader import names_file
from insaat_cli.reconstruction.options import Keep, ReconstructionOptions
from insaat_cli.workspace.workspace import is_workspace

LARGEST_FILE_BYTES = 10_000_000
Options = ReconstructionOptions


def sets_of_folders(
    folders: Sequence[Path], common: Options, output: Path | None
) -> dict[str, Options]:
    """One photo set a folder, by its name; folders with earlier results are left out.

    Results go to `output`/NAME, or beside each folder.
    """
    sets: dict[str, Options] = {}
    for folder in folders:
        if is_workspace(folder):
            continue
        name = _unused(folder.resolve().name or "photos", sets)
        target = output / name if output else None
        sets[name] = replace(common, sources=(folder,), output=target)
    if not sets:
        raise UsageError("none of these folders contains photos")
    return sets


def sets_in(folder: Path, common: Options, output: Path | None) -> dict[str, Options]:
    """The photo sets of a folder of folders."""
    try:
        inner = sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
    except OSError as error:
        raise UsageError(f"cannot read {printable(str(folder))}: {error.strerror}") from error
    inner = [path for path in inner if not is_workspace(path)]
    if not inner:
        raise UsageError(
            f"{printable(str(folder))} contains no folders of photos",
            hint="to make one model from one folder, use insaat reconstruct",
        )
    return sets_of_folders(inner, common, output)


def read_jobs(file: Path, common: Options, output: Path | None) -> dict[str, Options]:
    """The photo sets of a jobs file; what it says goes before `common`."""
    raw = _mapping(_load(file), f"{file}")
    _known(raw, ("defaults", "jobs"), f"{file}")
    jobs = raw.get("jobs")
    if not isinstance(jobs, list) or not jobs:
        raise UsageError(f"{file}: 'jobs' must be a list")
    where = f"{file}: defaults"
    defaults = _mapping(raw.get("defaults") or {}, where)
    _known(defaults, tuple(key for key in FIELDS if key not in ("photos", "name")), where)
    sets: dict[str, Options] = {}
    for number, entry in enumerate(jobs, 1):
        where = f"{file}: job {number}"
        job = {**defaults, **_mapping(entry, where)}
        _known(job, tuple(FIELDS), where)
        options = common
        for key, value in job.items():
            options = _apply(options, key, value, file.parent, where)
        if not options.sources:
            raise UsageError(f"{where} has no 'photos'")
        name = str(job.get("name") or options.sources[0].resolve().name or "photos")
        if "name" in job and name in sets:
            raise UsageError(f"{where}: duplicate job name {printable(name)}")
        name = _unused(name, sets)
        if options.output is None and output is not None:
            options = replace(options, output=output / name)
        sets[name] = options
    return sets


def _load(file: Path) -> Any:
    try:
        if file.stat().st_size > LARGEST_FILE_BYTES:
            raise UsageError(f"{file} is too large for a jobs file")
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{file} is not valid YAML: {error}") from error


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{where}: expected 'key: value' lines")
    return value


def _known(fields: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in fields:
        if key not in allowed:
            raise UsageError(
                f"{where}: unknown key {key!r}", hint=f"choose from {', '.join(allowed)}"
            )


def _apply(options: Options, key: str, value: Any, base: Path, where: str) -> Options:
    try:
        return FIELDS[key](options, value, base)
    except (TypeError, ValueError, KeyError):
        raise UsageError(f"{where}: invalid {key}: {value!r}") from None


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(text, str | int | float) for text in values):
        raise TypeError
    texts = tuple(str(text) for text in values)
    if any("\0" in text for text in texts):  # no path of any system has one
        raise ValueError
    return texts


def _path(text: str, base: Path) -> Path:
    """Relative to the jobs file. An empty one would be the folder of the file itself."""
    if not text:
        raise ValueError
    return base / text


def _photos(options: Options, value: Any, base: Path) -> Options:
    return replace(options, sources=tuple(_path(text, base) for text in _texts(value)))


def _output(options: Options, value: Any, base: Path) -> Options:
    (text,) = _texts(value)
    return replace(options, output=_path(text, base))


def _masks(options: Options, value: Any, base: Path) -> Options:
    (text,) = _texts(value)
    return replace(options, masks=_path(text, base))


def _pipeline(options: Options, value: Any, base: Path) -> Options:
    """A name, or a file, which is relative to the jobs file as all others are."""
    (text,) = _texts(value)
    return replace(options, pipeline=str(base / text) if names_file(text) else text)


def _settings(options: Options, value: Any, base: Path) -> Options:
    if isinstance(value, dict):
        value = [f"{key}={'null' if item is None else item}" for key, item in value.items()]
    return replace(options, settings=(*options.settings, *_texts(value)))


def _formats(options: Options, value: Any, base: Path) -> Options:
    return replace(options, formats=_texts(value))


def _text_field(name: str) -> Callable[[Options, Any, Path], Options]:
    def apply(options: Options, value: Any, base: Path) -> Options:
        (text,) = _texts(value)
        fields: dict[str, Any] = {name: text}
        return replace(options, **fields)

    return apply


def _choice_field(name: str, choices: type[StrEnum]) -> Callable[[Options, Any, Path], Options]:
    def apply(options: Options, value: Any, base: Path) -> Options:
        if isinstance(value, bool):  # on and off are truth values in YAML
            value = "on" if value else "off"
        (text,) = _texts(value)
        fields: dict[str, Any] = {name: choices(text)}
        return replace(options, **fields)

    return apply


def _truth_field(name: str) -> Callable[[Options, Any, Path], Options]:
    def apply(options: Options, value: Any, base: Path) -> Options:
        if not isinstance(value, bool):
            raise TypeError
        fields: dict[str, Any] = {name: value}
        return replace(options, **fields)

    return apply


def _name(options: Options, value: Any, base: Path) -> Options:
    _texts(value)
    return options


FIELDS: Mapping[str, Callable[[Options, Any, Path], Options]] = {
    "photos": _photos,
    "name": _name,
    "output": _output,
    "preset": _text_field("preset"),
    "pipeline": _pipeline,
    "format": _formats,
    "set": _settings,
    "roi": _text_field("roi"),
    "complete": _choice_field("complete", Completion),
    "background": _choice_field("background", Background),
    "masks": _masks,
    "recursive": _truth_field("recursive"),
    "keep": _choice_field("keep", Keep),
    "strict": _truth_field("strict"),
}


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
