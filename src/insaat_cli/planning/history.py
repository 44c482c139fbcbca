"""What stages cost on this machine so far: it corrects the models of the pipeline files.

A small JSON file in the user's state folder. Losing it costs nothing but accuracy, so whatever is
wrong with it (missing, damaged, not writable) counts as an empty history, never as a fault.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from insaat_cli.config import home_folder
from insaat_cli.planning.cost_models import Correction, Workload
from insaat_cli.workspace.workspace import explain_disk

KEPT_PER_STAGE = 20
RECENT = 5
OUTLIER = 1.5
"""Ratios above the middle one times this are taken for outliers, where there are others."""
ENOUGH = 3
SIMILAR = 2.0
"""Runs whose photos x megapixels differ by no more than this factor count as alike."""
MEMORY_BOUNDS = (0.3, 4.0)
TIME_BOUNDS = (0.05, 20.0)
STATE_VARIABLE = "INSAAT_STATE_DIR"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One finished stage, beside what its uncorrected models said."""

    photos: int
    megapixels: float
    model_bytes: int
    peak_bytes: int
    model_seconds: float
    seconds: float
    threads: int
    memory_share: float = 1.0
    """Of the model's memory, that the settings of a ladder were said to leave."""
    photo_set: str = ""
    """Fingerprint of the photos."""


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this user's state is kept, by the rules of the platform."""
    if chosen := environment.get(STATE_VARIABLE):
        return Path(chosen)
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Application Support" / "insaat"
    base = environment.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home_folder() / ".local" / "state") / "insaat"


class History:
    """Measurements by key (pipeline, stage and version, see `stage_key`)."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_folder() / "history.json"
        self._known: dict[str, list[Measurement]] = {}
        self._version: Version | None = None
        """Of the file that `_known` stands for."""

    def read(self) -> Mapping[str, list[Measurement]]:
        """Everything known; entries that make no sense are dropped.

        The file is parsed only where another process has changed it since: every planned stage of
        every run asks.
        """
        version = _version(self.path)
        if version is None:
            return {}
        if version != self._version:
            self._known, self._version = self._parsed(), version
        return self._known

    def _parsed(self) -> dict[str, list[Measurement]]:
        try:
            raw = json.loads(self.path.read_text(encoding="utf-8"))
            stages = raw["stages"].items()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        found: dict[str, list[Measurement]] = {}
        for key, entries in stages:
            if isinstance(entries, list):
                measured = [m for entry in entries if (m := _measurement(entry)) is not None]
                found[key] = measured[-KEPT_PER_STAGE:]
        return found

    def add(self, key: str, measurement: Measurement) -> None:
        """Remember one more measurement."""
        known = dict(self.read())
        known[key] = [*known.get(key, []), measurement][-KEPT_PER_STAGE:]
        plain = {name: [asdict(entry) for entry in entries] for name, entries in known.items()}
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({"stages": plain}, indent=1), encoding="utf-8")
            version = _version(fresh)
            fresh.replace(self.path)
            self._known, self._version = known, version

    def clear(self) -> None:
        with explain_disk(self.path, hint="set INSAAT_STATE_DIR to a writable folder"):
            self.path.unlink(missing_ok=True)


Version = tuple[int, int, int]
"""What changes with every replacement of a file: its inode, time of change (ns) and size."""


def _version(path: Path) -> Version | None:
    """None where the file is not there, or cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def stage_key(pipeline: str, stage: str, version: int) -> str:
    return f"{pipeline}/{stage}/{version}"


def correction(measured: list[Measurement], load: Workload, photo_set: str = "") -> Correction:
    """From the recent runs most like this one: memory by the highest, time by the middle ratio.

    The same photos at a similar size say most. Other photos of similar size may show more than
    those did: where these took less than the model says, half of that is believed. One that
    stands far above all others, as after a leak or beside a debugger, does not count.
    """
    work = load.photos * load.mean_megapixels
    alike = [m for m in measured if _alike(m.photos * m.megapixels, work)]
    same = [m for m in alike if photo_set and m.photo_set == photo_set]
    chosen = (same or alike or measured)[-RECENT:]
    memory = [m.peak_bytes / m.model_bytes for m in chosen if m.model_bytes > 0]
    time = [m.seconds / m.model_seconds for m in chosen if m.model_seconds > 0]
    pick: Callable[[list[float]], float] = highest if alike else statistics.median
    ratio = pick(memory) if memory else 1.0
    believed = ratio if same or ratio > 1.0 else (1.0 + ratio) / 2
    return Correction(
        memory=_bounded(believed, MEMORY_BOUNDS),
        time=_bounded(statistics.median(time), TIME_BOUNDS) if time else 1.0,
    )


def highest(ratios: list[float]) -> float:
    """The highest that is no outlier."""
    if len(ratios) < ENOUGH:
        return max(ratios)
    middle = statistics.median(ratios)
    return max(ratio for ratio in ratios if ratio <= middle * OUTLIER)


def _alike(one: float, other: float) -> bool:
    return one <= other * SIMILAR and other <= one * SIMILAR


def _bounded(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _measurement(entry: object) -> Measurement | None:
    try:
        fields = dict(entry)  # type: ignore[call-overload]
        return Measurement(
            photos=int(fields["photos"]),
            megapixels=float(fields["megapixels"]),
            model_bytes=int(fields["model_bytes"]),
            peak_bytes=int(fields["peak_bytes"]),
            model_seconds=float(fields["model_seconds"]),
            seconds=float(fields["seconds"]),
            threads=int(fields["threads"]),
            memory_share=float(fields.get("memory_share", 1.0)),
            photo_set=str(fields.get("photo_set", "")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
