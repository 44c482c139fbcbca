"""How long a model unit is: from a known distance, from GPS, or from the size wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from insaat_cli.errors import UsageError
from insaat_cli.mesh_io.model import Faces, Floats, Model

EARTH_RADIUS_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
MIN_GPS_PHOTOS = 4
MIN_GPS_SPREAD_M = 3.0
WORST_GPS_SHARE = 0.25
"""Largest typical disagreement of GPS and cameras, of the spread, that is still a scale."""
UNDISTORT_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class GpsScale:
    """Metres per model unit, and how well photos and cameras agree."""

    metres_per_unit: float
    error_m: float
    photos: int


def scale_from_longest_side(model: Model, metres: float) -> float:
    """Metres per unit that make the longest side of the bounding box `metres`."""
    low, high = model.bounds
    return metres / float((high - low).max())


def scale_from_gps(cameras: Mapping[str, Any], photos: Mapping[str, Any]) -> GpsScale:
    """Fit the camera centres to the photos' positions (Umeyama 1991). Raises UsageError."""
    places = {p["name"]: p["gps"] for p in photos["photos"] if p.get("gps")}
    pairs = [(i["center"], places[i["name"]]) for i in cameras["images"] if i["name"] in places]
    if len(pairs) < MIN_GPS_PHOTOS:
        raise UsageError(
            f"only {len(pairs)} photos have a GPS position, at least {MIN_GPS_PHOTOS} are needed",
            hint="give the scale with --distance or --size",
        )
    centers = np.array([center for center, _ in pairs], np.float64)
    positions = _local_metres(np.array([gps for _, gps in pairs], np.float64))
    centers -= centers.mean(axis=0)
    positions -= positions.mean(axis=0)
    spread = float(np.sqrt((positions**2).sum(axis=1).mean()))
    left, singular, right = np.linalg.svd(positions.T @ centers)
    mirror = np.sign(np.linalg.det(left @ right))
    scale = float((singular * [1, 1, mirror]).sum() / (centers**2).sum())
    rotation = left @ np.diag([1, 1, mirror]) @ right
    errors = np.linalg.norm(positions - scale * centers @ rotation.T, axis=1)
    error = float(np.median(errors))
    if spread < MIN_GPS_SPREAD_M or error > WORST_GPS_SHARE * spread:
        raise UsageError(
            "the photos' GPS positions are too close together or too inaccurate "
            f"({error:.1f} m off over {spread:.1f} m)",
            hint="give the scale with --distance or --size",
        )
    return GpsScale(metres_per_unit=scale, error_m=error, photos=len(pairs))


def _local_metres(gps: Floats) -> Floats:
    """East, north, up in metres about the first position, from latitude, longitude, altitude
    (WGS 84).
    """
    latitude, longitude = np.radians(gps[:, 0]), np.radians(gps[:, 1])
    eccentricity = FLATTENING * (2 - FLATTENING)
    curve = 1 - eccentricity * np.sin(latitude[0]) ** 2
    meridian = EARTH_RADIUS_M * (1 - eccentricity) / curve**1.5
    transverse = EARTH_RADIUS_M / np.sqrt(curve)
    east = (longitude - longitude[0]) * transverse * np.cos(latitude[0])
    north = (latitude - latitude[0]) * meridian
    return np.stack([east, north, gps[:, 2] - gps[0, 2]], axis=1)


def scale_from_distance(
    model: Model, first: str, second: str, metres: float, folder: Path | None
) -> float:
    """Metres per unit from two points that are `metres` apart.

    A point is `x,y,z` in the model, or `PHOTO:column,row` in pixels of a photo (`folder` is the
    result folder with its cameras). Raises UsageError.
    """
    vertices, faces = model.shape()
    ends = [point_of(text, vertices, faces, folder) for text in (first, second)]
    units = float(np.linalg.norm(ends[0] - ends[1]))
    if units == 0:
        raise UsageError("--distance names the same point twice")
    return metres / units


def point_of(text: str, vertices: Floats, faces: Faces, folder: Path | None) -> Floats:
    """The model point that `text` names. Raises UsageError."""
    name, _, numbers = text.rpartition(":")
    try:
        values = np.array([float(number) for number in numbers.split(",")])
    except ValueError:
        values = np.empty(0)
    if not np.isfinite(values).all() or len(values) != (2 if name else 3):
        raise UsageError(
            f"invalid point {text!r}",
            hint="use x,y,z in the model, or PHOTO.JPG:column,row in pixels",
        )
    if not name:
        return values
    origin, direction = _ray(name, values, folder)
    point = first_hit(origin, direction, vertices, faces)
    if point is None:
        raise UsageError(f"the ray through {text!r} does not hit the model")
    return point


def _ray(name: str, pixel: Floats, folder: Path | None) -> tuple[Floats, Floats]:
    """Centre of the camera of photo `name`, and the direction of `pixel` in the world."""
    if folder is None:
        raise UsageError("points in photos need the result folder, not the model file alone")
    cameras = read_facts(folder / "cameras.json")
    found = [image for image in cameras["images"] if image["name"] == name]
    if not found:
        raise UsageError(f"{name!r} is not a registered photo")
    camera = found[0]
    intrinsics = np.asarray(camera["K"], np.float64)
    pose = np.asarray(camera["cam_from_world"], np.float64).reshape(3, 4)
    pixel = pixel * _reduction(name, camera, folder)
    plane = (pixel - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    plane = _undistorted(plane, camera.get("distortion", {}).get("params", {}))
    return -pose[:, :3].T @ pose[:, 3], pose[:, :3].T @ np.array([*plane, 1.0])


def _reduction(name: str, camera: Mapping[str, Any], folder: Path) -> float:
    """People read pixels off their own photo; the camera may belong to a smaller copy."""
    path = folder / "photos.json"
    if not path.is_file():
        return 1.0
    widths = [photo["width"] for photo in read_facts(path)["photos"] if photo["name"] == name]
    return float(camera["width"] / widths[0]) if widths else 1.0


def _undistorted(plane: Floats, params: Mapping[str, float]) -> Floats:
    """Normalised coordinates without radial distortion, by fixed-point iteration."""
    k1, k2 = float(params.get("k", params.get("k1", 0.0))), float(params.get("k2", 0.0))
    found = plane
    for _ in range(UNDISTORT_STEPS):
        squared = float(found @ found)
        found = plane / (1 + k1 * squared + k2 * squared**2)
    return found


def first_hit(origin: Floats, direction: Floats, vertices: Floats, faces: Faces) -> Floats | None:
    """Where a ray first meets the mesh (Moeller and Trumbore 1997), or None."""
    corner = vertices[faces[:, 0]]
    first, second = vertices[faces[:, 1]] - corner, vertices[faces[:, 2]] - corner
    across = np.cross(direction, second)
    determinant = np.einsum("fx,fx->f", first, across)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = origin - corner
        u = np.einsum("fx,fx->f", offset, across) / determinant
        turned = np.cross(offset, first)
        v = turned @ direction / determinant
        depth = np.einsum("fx,fx->f", second, turned) / determinant
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0)
    if not hit.any():
        return None
    return origin + float(depth[hit].min()) * direction


def read_facts(path: Path) -> Any:
    """A JSON file of the result folder. Raises UsageError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no {path.name} next to the model", hint="use a result folder") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path.name}: {error}") from error
