"""What a run that ended well did not do as asked: photos that it lost, settings that it lowered.

Read from a run of this machine, or from the run.json that a worker published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from insaat_cli.errors import IncompleteError
from insaat_cli.formatting import counted, printable
from insaat_cli.photos.photo_set import LeftOut
from insaat_cli.runner.run_result import RunResult

REGISTERING_STAGE = "sparse"
NAMES_SHOWN = 3
HINT = "see the report for details; without --strict this is only a warning"


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """Nothing of it hinders a result; false where the result is all that was asked for."""

    photos: int
    """That the run had to register."""
    registered: int | None
    """None: no stage of the run says so."""
    left_out: tuple[str, ...] = ()
    """Photos that could not be used, "name: reason"; no duplicates, and no other files."""
    lowered: tuple[str, ...] = ()
    """What ran with lower settings than asked for, one sentence each."""

    @property
    def unregistered(self) -> int:
        return 0 if self.registered is None else max(0, self.photos - self.registered)

    def __bool__(self) -> bool:
        return bool(self.unregistered or self.left_out or self.lowered)

    def sentences(self) -> list[str]:
        """What the user has to know, the worst first."""
        found = []
        if self.unregistered:
            found.append(
                f"{self.unregistered} of {counted(self.photos, 'photo')} could not be registered; "
                f"the model is built from the other {self.registered}"
            )
        if self.left_out:
            more = len(self.left_out) - NAMES_SHOWN
            shown = "; ".join(map(printable, self.left_out[:NAMES_SHOWN]))
            rest = f"; and {counted(more, 'other')}" if more > 0 else ""
            found.append(f"{counted(len(self.left_out), 'photo')} left out: {shown}{rest}")
        if self.lowered:
            count = counted(len(self.lowered), "setting")
            found.append(f"{count} reduced during the run, see the report")
        return found

    def error(self) -> IncompleteError:
        """What it is under --strict."""
        return IncompleteError(f"incomplete: {'; '.join(self.sentences())}", hint=HINT)

    def to_json(self) -> dict[str, Any]:
        return {
            "complete": not self,
            "warnings": self.sentences(),
            "unregistered": self.unregistered,
            "left_out": list(self.left_out),
            "degraded": list(self.lowered),
        }


def shortfall_of(run: RunResult, photos: int, left_out: Iterable[LeftOut]) -> Shortfall:
    """Of a run with `photos` photos, for which `left_out` were found unfit."""
    stages = [
        {"name": one.name, "title": one.title, "metrics": one.metrics, "degraded": one.degraded}
        for one in run.stages
    ]
    return _shortfall(photos, [file.to_json() for file in left_out], stages)


def shortfall_of_record(record: Mapping[str, Any], left_out: Iterable[LeftOut] = ()) -> Shortfall:
    """Of the run that a run.json describes; `left_out` were not even sent to it.

    Raises KeyError, TypeError or AttributeError for what is no such record.
    """
    unfit = [*(file.to_json() for file in left_out), *record["left_out"]]
    return _shortfall(len(record["photos"]), unfit, record["stages"])


def _shortfall(
    photos: int, left_out: Iterable[Mapping[str, Any]], stages: Iterable[Mapping[str, Any]]
) -> Shortfall:
    stages = list(stages)
    metrics = {stage["name"]: stage["metrics"] for stage in stages}
    undecodable = [
        file
        for found in metrics.values()
        if isinstance(listed := found.get("left_out"), list)
        for file in listed
    ]
    registered = metrics.get(REGISTERING_STAGE, {}).get("registered")
    lost = [*(file for file in left_out if file.get("is_photo")), *undecodable]
    return Shortfall(
        photos=photos - len(undecodable),
        registered=registered if isinstance(registered, int) else None,
        left_out=tuple(f"{file['name']} ({file['reason']})" for file in lost),
        lowered=tuple(
            f"{stage['title']}: {step}" for stage in stages for step in stage["degraded"]
        ),
    )
