"""What the report needs of a workspace, read with tolerance: a failed run left only a part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from insaat_cli.report.failed_run import inspected_photos
from insaat_cli.workspace.results import older_results

INSPECTION_STAGE = "inspection"
COVERAGE_PICTURE, PLAN_PICTURE = "coverage.jpg", "plan.png"
LOG_LINES_SHOWN = 40
LOG_TAIL_BYTES = 20_000


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A photo that was registered; positions in the world frame (Y up)."""

    name: str
    center: tuple[float, float, float]
    forward: tuple[float, float, float]
    """Unit vector of the viewing direction."""


@dataclass(frozen=True, kw_only=True)
class RunData:
    """A workspace as its report shows it."""

    workspace: Path
    record: Mapping[str, Any]
    """run.json."""
    photos: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[Mapping[str, Any], ...] = ()
    cameras: tuple[Camera, ...] = ()
    thumbnail_of: Mapping[str, Path] = field(default_factory=dict)
    """Photo name → its working copy."""
    preview: Path | None = None
    inspection: Mapping[str, Any] = field(default_factory=dict)
    """What the stage of this name found out, or what could be found out without it."""
    coverage_picture: Path | None = None
    plan: Path | None = None
    """The sparse points from above."""
    command: tuple[str, ...] = ()
    older: Mapping[str, str] = field(default_factory=dict)
    """By name: a sentence on each result here that is of an earlier run."""

    @property
    def stages(self) -> list[Mapping[str, Any]]:
        return _records(self.record.get("stages"))

    @property
    def error(self) -> Mapping[str, Any] | None:
        error = self.record.get("error")
        return error if isinstance(error, Mapping) else None

    @property
    def registered(self) -> frozenset[str]:
        return frozenset(camera.name for camera in self.cameras)

    @property
    def seconds(self) -> float:
        """From the start of the last run to its end; 0 where the record does not say."""
        try:
            ends = [datetime.fromisoformat(self.record[key]) for key in ("started", "finished")]
        except (KeyError, TypeError, ValueError):
            return 0.0
        return (ends[1] - ends[0]).total_seconds()

    @property
    def photo_facts(self) -> dict[str, Mapping[str, Any]]:
        """By the photos' names, in their order."""
        photos = self.inspection.get("photos")
        items = photos.items() if isinstance(photos, Mapping) else ()
        return {str(name): one for name, one in items if isinstance(one, Mapping)}

    @property
    def advice(self) -> list[Mapping[str, Any]]:
        return _records(self.inspection.get("advice"))

    @property
    def plan_reach(self) -> float:
        """Half the side of the plan in world units; 0 where there is none."""
        reach = self.inspection.get("plan_reach")
        return float(reach) if isinstance(reach, int | float) and reach > 0 else 0.0

    def metrics(self, stage: str) -> Mapping[str, Any]:
        for record in self.stages:
            if record.get("name") == stage and isinstance(record.get("metrics"), Mapping):
                return dict(record["metrics"])
        return {}

    def log_tail(self) -> str:
        """The last lines of the failed stage's log."""
        log = (self.error or {}).get("log")
        if not isinstance(log, str):
            return ""
        try:
            with (self.workspace / log).open("rb") as stream:
                stream.seek(0, 2)
                stream.seek(max(0, stream.tell() - LOG_TAIL_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-LOG_LINES_SHOWN:])


def read_run(workspace: Path, *, command: tuple[str, ...] = ()) -> RunData:
    """Everything of `workspace` that is there. Raises OSError or ValueError without a run.json."""
    record = json.loads((workspace / "run.json").read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError("run.json contains no record")
    photos = _json(workspace / "photos.json")
    preview = workspace / "preview.png"
    inspection, folder = _inspection(workspace, record)
    finished = record.get("error") is None and "preview.png" in (record.get("results") or [])
    return RunData(
        workspace=workspace,
        record=record,
        photos=tuple(_records(photos.get("photos"))),
        left_out=tuple(_records(photos.get("left_out"))),
        cameras=_cameras(workspace, record),
        thumbnail_of=_working_copies(workspace),
        preview=preview if finished and preview.is_file() else None,
        inspection=inspection,
        coverage_picture=_file(folder / COVERAGE_PICTURE) if folder else None,
        plan=_file(folder / PLAN_PICTURE) if folder else None,
        command=command,
        older=older_results(workspace),
    )


def _inspection(
    workspace: Path, record: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Path | None]:
    """What was found out, and the folder of its pictures."""
    for stage in _records(record.get("stages")):
        metrics = stage.get("metrics")
        done = stage.get("status") in ("done", "skipped")
        if stage.get("name") == INSPECTION_STAGE and done and isinstance(metrics, Mapping):
            return metrics, workspace / "stages" / INSPECTION_STAGE
    return (inspected_photos(workspace) if record.get("error") else {}), None


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _cameras(workspace: Path, record: Mapping[str, Any]) -> tuple[Camera, ...]:
    registered = [
        stage
        for stage in _records(record.get("stages"))
        if stage.get("name") == "sparse" and stage.get("status") in ("done", "skipped")
    ]
    if not registered:
        return ()
    images = _records(_json(workspace / "stages" / "sparse" / "cameras.json").get("images"))
    return tuple(camera for camera in map(_camera, images) if camera is not None)


def _camera(image: Mapping[str, Any]) -> Camera | None:
    try:
        rows = [[float(value) for value in row] for row in image["cam_from_world"]]
        x, y, z = (float(value) for value in image["center"])
        # OpenCV axes: the third row of the rotation is the camera's z axis, its direction of view.
        return Camera(
            name=str(image["name"]),
            center=(x, y, z),
            forward=(rows[2][0], rows[2][1], rows[2][2]),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _working_copies(workspace: Path) -> dict[str, Path]:
    folder = workspace / "stages" / "resize"
    images = _records(_json(folder / "images.json").get("images"))
    return {
        str(image["source"]): folder / "images" / Path(str(image["name"])).name
        for image in images
        if "source" in image and "name" in image
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _records(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, Mapping)]
