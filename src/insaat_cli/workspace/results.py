"""Which run, photos and settings each result in a workspace is of, as run.json says it.

    "run": "3f2a9c…"            the run that the record is of
    "runs": {RUN: {…}}          when, how and with how many photos that run and those were made
                                whose results are here
    "result_files": {"model.glb": {"run": RUN, "stage": "export", "bytes": …, "stale": false, …}}
    "results": ["model.glb"]    those of the photos and settings of a run that ended well

A result is stale where the last run was asked for other photos or settings. It stays: it is the
user's last good model, but nothing may take it for what the last run made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insaat_cli.errors import ExitCode
from insaat_cli.formatting import counted, printable
from insaat_cli.workspace.json_file import read_object
from insaat_cli.workspace.workspace import RECORD_NAME

STOPPED_CODES = (int(ExitCode.INTERRUPTED), int(ExitCode.TERMINATED))
MODEL_NAME = "model.glb"


@dataclass(frozen=True, kw_only=True)
class ResultFile:
    """One result; "" is what the record of an earlier version does not say."""

    run: str = ""
    stage: str = ""
    """The stage that wrote it."""
    fingerprint: str = ""
    """Of that stage."""
    request: str = ""
    """Of the photos and settings asked for, see `fingerprint.request_fingerprint`."""
    bytes: int = 0
    sha256: str = ""
    """Of a file; a folder has none."""


@dataclass(kw_only=True)
class Results:
    """The results of a workspace while a run works in it."""

    run: str
    request: str
    files: dict[str, ResultFile] = field(default_factory=dict)
    """By name, relative to the workspace."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Mapping[str, Any], *, run: str, request: str) -> Results:
        """Those that the last run left, as a new one finds them."""
        return cls(run=run, request=request, files=_files(record), runs=_runs(record))

    def stale(self, name: str) -> bool:
        """Whether it is of other photos or settings than those of this run."""
        return self.files[name].request != self.request

    def place(self, path: Path, *, run: str, stage: str, fingerprint: str) -> None:
        """`path` is now what `stage` made in `run`."""
        self.files[path.name] = ResultFile(
            run=run if run in self.runs else self.run,
            stage=stage,
            fingerprint=fingerprint,
            request=self.request,
            bytes=_bytes(path),
            sha256=_sha256(path),
        )

    def still_hold(self, stage: str, fingerprint: str) -> None:
        """The results of an earlier version, which did not write down what it was asked for, are
        as this run would make them."""
        for name, file in self.files.items():
            if (file.request, file.fingerprint) == ("", fingerprint) and file.stage == stage:
                self.files[name] = dataclasses.replace(file, request=self.request)

    def edited(self, root: Path) -> list[str]:
        """Files that are not any more as a run wrote them."""
        return [
            name
            for name, file in self.files.items()
            if file.sha256
            and (root / name).is_file()
            and (_bytes(root / name) != file.bytes or _sha256(root / name) != file.sha256)
        ]

    def to_json(self, root: Path, own: Mapping[str, Any], *, well: bool) -> dict[str, Any]:
        """The fields of run.json; `own` are the facts of this run, `well` whether it is over and
        ended well."""
        there = {name: file for name, file in self.files.items() if os.path.lexists(root / name)}
        named = {file.run for file in there.values()}
        kept = {run: facts for run, facts in self.runs.items() if run in named}
        return {
            "run": self.run,
            "runs": {**kept, self.run: dict(own)},
            "results": [name for name in there if well and not self.stale(name)],
            "result_files": {
                name: {**dataclasses.asdict(file), "stale": self.stale(name)}
                for name, file in there.items()
            },
        }


def older_results(workspace: Path) -> dict[str, str]:
    """By name: one sentence on each result that the last run did not make, nor find as it would
    have made it. {} where there is no record of a run.
    """
    record = read_object(workspace / RECORD_NAME)
    files, runs = _files(record), _runs(record)
    unfinished = _unfinished(record)
    last = _mapping(runs.get(str(record.get("run"))))
    said = {}
    for name, file in files.items():
        stale = file.request != str(last.get("request", ""))
        if os.path.lexists(workspace / name) and (stale or unfinished):
            until = record.get("until")
            how = unfinished or (f"stopped after {until}" if until else "did not write it")
            other = ", with other photos or settings," if stale and file.request else ""
            said[name] = f"{_of_run(name, runs.get(file.run))}; the last run{other} {how}"
    return said


def older_model(model: Path) -> str | None:
    """What is to be said of `model` where it lies in a workspace whose last run did not make it."""
    record = read_object(model.parent / RECORD_NAME)
    how = _unfinished(record)
    if how and model.name == MODEL_NAME and model.name not in _files(record):
        return f"{_of_run(model.name, None)}; the last run {how}"
    return older_results(model.parent).get(model.name)


def _of_run(name: str, run: Mapping[str, Any] | None) -> str:
    if run is None:
        return f"{printable(name)} is from an earlier run"
    when = str(run.get("started", ""))[:16].replace("T", " ")
    photos = counted(int(run.get("photos") or 0), "photo")
    return printable(f"{name} is from the run of {when} UTC ({run.get('preset')}, {photos})")


def _unfinished(record: Mapping[str, Any]) -> str:
    """How the last run ended before it was done; "" where it was, or there was none."""
    error = record.get("error")
    if isinstance(error, Mapping):
        if error.get("code") in STOPPED_CODES:
            return "was stopped"
        return printable(f"failed in {error['stage']}" if error.get("stage") else "failed")
    over = record.get("finished") is not None or "started" not in record
    return "" if over else "has not ended"


def _files(record: Mapping[str, Any]) -> dict[str, ResultFile]:
    known = [item.name for item in dataclasses.fields(ResultFile)]
    files = record.get("result_files")
    if isinstance(files, Mapping):
        return {
            str(name): ResultFile(**{key: file[key] for key in known if key in file})
            for name, file in files.items()
            if isinstance(file, Mapping)
        }
    stages, names = record.get("stages"), record.get("results")
    if not (isinstance(stages, list) and stages and isinstance(names, list)):
        return {}
    last = _mapping(stages[-1])
    stage, fingerprint = str(last.get("name", "")), str(last.get("fingerprint", ""))
    return {str(name): ResultFile(stage=stage, fingerprint=fingerprint) for name in names}


def _runs(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(run): dict(_mapping(facts)) for run, facts in _mapping(record.get("runs")).items()}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
