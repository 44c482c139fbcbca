"""OpenMVG's sfm_data.json: views, intrinsics, poses and points, read and written.

Pixels count from the centre of the first one (0, 0), as OpenMVG does. The layout is that of the
cereal library: the first object of a type carries the type's name, later ones its number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError

Array = npt.NDArray[np.float64]
VERSION = "0.3"
DISTORTION_KEY = {
    "pinhole": None,
    "pinhole_radial_k1": "disto_k1",
    "pinhole_radial_k3": "disto_k3",
    "pinhole_brown_t2": "disto_t2",
    "fisheye": "fisheye",
}
NEW = 0x80000000
"""Marks an identifier that is used for the first time."""
PLAIN = 0x40000000
"""In place of a type's number: the pointer's own type."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One photo."""

    name: str
    width: int
    height: int
    intrinsic: int


@dataclass(frozen=True, kw_only=True)
class Intrinsic:
    """A camera: `kind` is one of DISTORTION_KEY, its parameters in OpenMVG's order."""

    kind: str
    width: int
    height: int
    focal_px: float
    principal_point: tuple[float, float]
    distortion: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pose:
    """camera = rotation @ (world - center)."""

    rotation: Array
    center: Array


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """A point and where views see it: {view: (feature, x, y)}."""

    position: Array
    seen: Mapping[int, tuple[int, float, float]]


@dataclass(frozen=True, kw_only=True)
class SfmData:
    """A scene, complete or only listed."""

    images: str
    views: Mapping[int, View]
    intrinsics: Mapping[int, Intrinsic]
    poses: Mapping[int, Pose] = field(default_factory=dict)
    """By view."""
    points: Mapping[int, Landmark] = field(default_factory=dict)


def read_sfm_data(path: Path) -> SfmData:
    """The scene in `path`. Raises StageError for a file that is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return _scene(raw)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StageError(f"cannot read {path.name}: {error!r}") from error


def _scene(raw: Mapping[str, Any]) -> SfmData:
    views, pose_of = {}, {}
    for entry in raw["views"]:
        data = entry["value"]["ptr_wrapper"]["data"]
        data = data.get("value0", data)
        views[entry["key"]] = View(
            name=data["filename"],
            width=int(data["width"]),
            height=int(data["height"]),
            intrinsic=data["id_intrinsic"],
        )
        pose_of[data["id_pose"]] = entry["key"]
    poses = {
        pose_of[entry["key"]]: Pose(
            rotation=np.array(entry["value"]["rotation"], float),
            center=np.array(entry["value"]["center"], float),
        )
        for entry in raw.get("extrinsics", [])
        if entry["key"] in pose_of
    }
    points = {entry["key"]: _landmark(entry["value"]) for entry in raw.get("structure", [])}
    return SfmData(
        images=raw["root_path"],
        views=views,
        intrinsics=_intrinsics(raw["intrinsics"]),
        poses=poses,
        points=points,
    )


def _intrinsics(entries: list[Any]) -> dict[int, Intrinsic]:
    kinds: dict[int, str] = {}
    found = {}
    for entry in entries:
        value = entry["value"]
        number = value["polymorphic_id"] & ~NEW
        kind = kinds.setdefault(number, value.get("polymorphic_name", ""))
        if kind not in DISTORTION_KEY:
            raise ValueError(f"unknown camera model {kind!r}")
        data, key = value["ptr_wrapper"]["data"], DISTORTION_KEY[kind]
        x, y = data["principal_point"]
        found[entry["key"]] = Intrinsic(
            kind=kind,
            width=int(data["width"]),
            height=int(data["height"]),
            focal_px=float(data["focal_length"]),
            principal_point=(float(x), float(y)),
            distortion=tuple(map(float, data[key])) if key else (),
        )
    return found


def _landmark(value: Mapping[str, Any]) -> Landmark:
    seen = {
        observation["key"]: (
            int(observation["value"]["id_feat"]),
            float(observation["value"]["x"][0]),
            float(observation["value"]["x"][1]),
        )
        for observation in value["observations"]
    }
    return Landmark(position=np.array(value["X"], float), seen=seen)


def write_sfm_data(scene: SfmData, path: Path) -> None:
    """Write `scene` as OpenMVG itself would."""
    numbers = iter(range(1, len(scene.views) + len(scene.intrinsics) + 1))
    raw = {
        "sfm_data_version": VERSION,
        "root_path": scene.images,
        "views": [_raw_view(key, view, next(numbers)) for key, view in scene.views.items()],
        "intrinsics": _raw_intrinsics(scene.intrinsics, numbers),
        "extrinsics": [
            {"key": key, "value": {"rotation": p.rotation.tolist(), "center": p.center.tolist()}}
            for key, p in scene.poses.items()
        ],
        "structure": [
            {"key": key, "value": _raw_landmark(point)} for key, point in scene.points.items()
        ],
        "control_points": [],
    }
    path.write_text(json.dumps(raw, indent=1), encoding="utf-8")


def _raw_view(key: int, view: View, number: int) -> dict[str, Any]:
    data = {
        "local_path": "",
        "filename": view.name,
        "width": view.width,
        "height": view.height,
        "id_view": key,
        "id_intrinsic": view.intrinsic,
        "id_pose": key,
    }
    pointer = {"id": NEW | number, "data": data}
    return {"key": key, "value": {"polymorphic_id": PLAIN, "ptr_wrapper": pointer}}


def _raw_intrinsics(intrinsics: Mapping[int, Intrinsic], numbers: Any) -> list[dict[str, Any]]:
    kinds: dict[str, int] = {}
    entries = []
    for key, camera in intrinsics.items():
        data: dict[str, Any] = {
            "width": camera.width,
            "height": camera.height,
            "focal_length": camera.focal_px,
            "principal_point": list(camera.principal_point),
        }
        distortion = DISTORTION_KEY[camera.kind]
        if distortion:
            data[distortion] = list(camera.distortion)
        value: dict[str, Any]
        if camera.kind in kinds:
            value = {"polymorphic_id": kinds[camera.kind]}
        else:
            kinds[camera.kind] = len(kinds) + 1
            value = {
                "polymorphic_id": NEW | kinds[camera.kind],
                "polymorphic_name": camera.kind,
            }
        value["ptr_wrapper"] = {"id": NEW | next(numbers), "data": data}
        entries.append({"key": key, "value": value})
    return entries


def _raw_landmark(point: Landmark) -> dict[str, Any]:
    seen = [
        {"key": view, "value": {"id_feat": feature, "x": [x, y]}}
        for view, (feature, x, y) in point.seen.items()
    ]
    return {"X": point.position.tolist(), "observations": seen}
