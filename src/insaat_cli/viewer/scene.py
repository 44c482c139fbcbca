"""What the viewer shows: the model, the cameras in its frame, and where their photos lie."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from insaat_cli.errors import UsageError
from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.mesh_io.model import find_model, read_checked, read_model
from insaat_cli.viewer.cloud import CLOUD_NAME, ThinCloud, thin_cloud

CAMERAS_NAME = "cameras.json"
RECORD_NAME = "run.json"
RESIZED = Path("stages") / "resize"
MAX_CAMERAS = 20_000
THUMBNAIL_PX = 480
THUMBNAIL_QUALITY = 70


@dataclass(frozen=True, kw_only=True)
class ViewedCamera:
    """A camera as the page draws it; lengths in model units."""

    name: str
    center: tuple[float, ...]
    corners: tuple[tuple[float, ...], ...]
    """World vectors from the centre to the image corners (from the upper left, clockwise) at
    depth 1."""
    forward: tuple[float, ...]
    fov_y_deg: float
    photo: Path | None
    """A file of ours, for the page; never a path that came from cameras.json."""

    def to_json(self, photo: str | None) -> dict[str, Any]:
        return {
            "name": self.name,
            "center": self.center,
            "corners": self.corners,
            "forward": self.forward,
            "fov_y_deg": self.fov_y_deg,
            "photo": photo,
        }


@dataclass(frozen=True, kw_only=True)
class ViewedScene:
    """Everything that one page shows."""

    title: str
    model: Path
    cameras: tuple[ViewedCamera, ...]
    metres_per_unit: float | None
    cloud: Path | None = None
    """The dense cloud, where there is one."""

    def model_bytes(self) -> bytes:
        """The model as a GLB that passed its check."""
        if self.model.suffix.lower() == ".glb":
            return read_checked(self.model, compressed=True)
        return glb_bytes(read_model(self.model))

    def thin_cloud(self, most: int) -> ThinCloud | None:
        """At most `most` points of the dense cloud."""
        return thin_cloud(self.cloud, most) if self.cloud else None

    def to_json(self, photos: Mapping[Path, str], cloud: ThinCloud | None = None) -> dict[str, Any]:
        """For the page. `photos`: the address of each photo that the page may ask for."""
        return {
            "title": self.title,
            "cameras": [
                camera.to_json(photos.get(camera.photo) if camera.photo else None)
                for camera in self.cameras
            ],
            "metres_per_unit": self.metres_per_unit,
            "cloud": cloud.to_json() if cloud else None,
        }


def read_scene(source: Path) -> ViewedScene:
    """The scene of a result folder or of a single model file. Raises UsageError."""
    model = find_model(source)
    folder = model.parent
    cameras: tuple[ViewedCamera, ...] = ()
    scale = cloud = None
    if source.is_dir():
        cloud = folder / CLOUD_NAME
        photos = _photos(folder)
        cameras = tuple(_cameras(folder / CAMERAS_NAME, photos))
        scale = scale_of_run(folder)
    title = source.resolve().name if source.is_dir() else model.name
    return ViewedScene(
        title=title, model=model, cameras=cameras, metres_per_unit=scale, cloud=cloud
    )


def thumbnail(path: Path, longest_px: int = THUMBNAIL_PX) -> str:
    """The photo as a small data URI, without metadata."""
    with Image.open(path, formats=["JPEG", "PNG"]) as picture:
        picture.draft("RGB", (longest_px, longest_px))
        small = picture.convert("RGB")
    small.thumbnail((longest_px, longest_px))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=THUMBNAIL_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path.name}: {error}") from error


def _photos(folder: Path) -> dict[str, Path]:
    """The upright copy of each photo in the workspace, by display name."""
    listed = _read_json(folder / RESIZED / "images.json")
    if not listed:
        return {}
    images = folder / RESIZED / "images"
    found = {str(image["source"]): images / Path(image["name"]).name for image in listed["images"]}
    return {name: path for name, path in found.items() if path.is_file()}


def _cameras(path: Path, photos: Mapping[str, Path]) -> list[ViewedCamera]:
    listed = _read_json(path)
    if listed is None:
        return []
    try:
        images = listed["images"][:MAX_CAMERAS]
        return [_camera(image, photos.get(str(image["name"]))) for image in images]
    except (KeyError, TypeError, ValueError, IndexError, np.linalg.LinAlgError) as error:
        raise UsageError(f"{path.name} is not a list of cameras ({error!r})") from error


def _camera(image: Mapping[str, Any], photo: Path | None) -> ViewedCamera:
    pose = np.asarray(image["cam_from_world"], np.float64).reshape(3, 4)
    intrinsics = np.asarray(image["K"], np.float64).reshape(3, 3)
    width, height = float(image["width"]), float(image["height"])
    pixels = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    corners = pixels @ np.linalg.inv(intrinsics).T @ pose[:, :3]
    center = -pose[:, :3].T @ pose[:, 3]
    if not (np.isfinite(corners).all() and np.isfinite(center).all()):
        raise ValueError("a pose is not finite")
    return ViewedCamera(
        name=str(image["name"]),
        center=_rounded(center),
        corners=tuple(_rounded(corner) for corner in corners),
        forward=_rounded(pose[2, :3]),
        fov_y_deg=float(np.degrees(2 * np.arctan2(height / 2, intrinsics[1, 1]))),
        photo=photo,
    )


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def scale_of_run(folder: Path) -> float | None:
    """Metres per model unit, where the run in `folder` knew it (from GPS). Raises UsageError."""
    record = _read_json(folder / RECORD_NAME)
    known = record.get("metres_per_unit") if isinstance(record, dict) else None
    return float(known) if isinstance(known, int | float) and known > 0 else None
