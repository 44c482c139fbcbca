"""Photo sets with exact truth: what `insaat demo` reconstructs and the accuracy tests measure."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from insaat_cli.scenes.lighting import light_at, light_on_ground
from insaat_cli.scenes.photograph import Painted, Scene, Sensor, photograph
from insaat_cli.scenes.rig import CameraTruth, Lens, place_cameras
from insaat_cli.scenes.room import build_room
from insaat_cli.scenes.subjects import Mesh, Subject, build_mesh, model_of
from insaat_cli.scenes.turntable import Turntable

SENSOR_WIDTH_MM = 23.5
FOCAL_OF_WIDTH = {Subject.ROOM: 0.70}
"""Focal length over image width: for a room the wide angle of a phone, 71 degrees."""
USUAL_FOCAL_OF_WIDTH = 1.02
FIRST_PHOTO_TIME = datetime(2024, 5, 4, 10, 30)
GROUND_HALF_WIDTH = 1.8


@dataclass(frozen=True, kw_only=True)
class SceneTruth:
    """What is known of a rendered photo set."""

    folder: Path
    """Holds `images/`, `cameras.json` and `object.ply`."""
    images: Path
    cameras: list[CameraTruth]
    mesh: Mesh
    """The subject's surface, in the frame of the cameras: z up, standing on z = 0."""


def make_photo_set(
    folder: Path,
    *,
    photos: int = 24,
    width: int = 1600,
    height: int = 1200,
    seed: int = 0,
    subject: Subject = Subject.STATUE,
    contrast: float = 1.0,
    k1: float = -0.06,
    arc: float = 360.0,
    sensor: Sensor | None = None,
    exif: bool = True,
    prefix: str = "IMG_",
    quality: int = 93,
    threads: int | None = None,
    turntable: bool = False,
) -> SceneTruth:
    """Render a photo set into `folder` and write its truth beside it.

    The same arguments give the same files on the same machine. `contrast` is the strength of the
    texture (1 is usual), `k1` the lens distortion (see `Lens`), `arc` how far around the subject
    the cameras stand, in degrees, `exif=False` leaves out what the camera would have written.
    On a `turntable` the subject turns before a tripod and a background that stands still.
    """
    focal = FOCAL_OF_WIDTH.get(subject, USUAL_FOCAL_OF_WIDTH) * width
    lens = Lens(width=width, height=height, focal=focal, k1=k1)
    names = [f"{prefix}{number:04d}.jpg" for number in range(photos)]
    rng = np.random.default_rng([seed, 1])
    cameras = place_cameras(subject, names, lens, rng, arc=arc, turntable=turntable)
    scene = build_scene(subject, contrast=contrast, seed=seed)
    if turntable:
        house = build_scene(Subject.FACADE, contrast=1.0, seed=seed + 1)
        scene = Turntable(subject=scene, behind=house)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)

    def take(number: int) -> None:
        rng = np.random.default_rng([seed, 2, number])
        pixels = photograph(scene, cameras[number], sensor or Sensor(), rng)
        tags = exif_of(lens, number) if exif else Image.Exif()
        path = images / names[number]
        Image.fromarray(pixels).save(path, quality=quality, subsampling=0, exif=tags)

    workers = threads or os.cpu_count() or 1
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(take, range(photos)))
    finally:
        cv2.setNumThreads(before)
    truth = SceneTruth(folder=folder, images=images, cameras=cameras, mesh=scene.mesh)
    write_truth(truth)
    return truth


def build_scene(subject: Subject, *, contrast: float, seed: int) -> Painted:
    """Model, mesh and light of a subject; `seed` changes texture and relief, not the shape."""
    paint_seed = 1000 * seed + 100 * list(Subject).index(subject)
    if subject is Subject.ROOM:
        return build_room(contrast=contrast, seed=seed, scene_seed=paint_seed)
    model = model_of(subject)
    body = model.body(seed)
    mesh = build_mesh(model, body)
    return Scene(
        mesh=mesh,
        light=light_at(body, mesh.vertices, mesh.normals),
        ground=light_on_ground(body, GROUND_HALF_WIDTH),
        contrast=contrast,
        seed=paint_seed,
    )


def exif_of(lens: Lens, number: int) -> Image.Exif:
    """What a camera writes into the photo with this number."""
    when = FIRST_PHOTO_TIME + timedelta(seconds=7 * number)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Insaat"
    exif[ExifTags.Base.Model] = "Scene renderer"
    exif[ExifTags.Base.Orientation] = 1
    exif[ExifTags.Base.DateTime] = when.strftime("%Y:%m:%d %H:%M:%S")
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = when.strftime("%Y:%m:%d %H:%M:%S")
    focal_mm = lens.focal / lens.width * SENSOR_WIDTH_MM
    details[ExifTags.Base.FocalLength] = TiffImagePlugin.IFDRational(round(10 * focal_mm), 10)
    details[ExifTags.Base.FocalLengthIn35mmFilm] = round(lens.focal_35mm)
    details[ExifTags.Base.ExposureTime] = TiffImagePlugin.IFDRational(1, 250)
    details[ExifTags.Base.ISOSpeedRatings] = 200
    return exif


def write_truth(truth: SceneTruth) -> None:
    """Write `cameras.json` and `object.ply` beside the photos."""
    entries = [_camera_entry(camera) for camera in truth.cameras]
    text = json.dumps(entries, indent=1)
    (truth.folder / "cameras.json").write_text(text, encoding="utf-8")
    write_ply(truth.folder / "object.ply", truth.mesh.vertices, truth.mesh.faces)


def write_ply(path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> None:
    """A binary PLY of vertices (n, 3) and triangles (m, 3)."""
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    rows = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    with path.open("wb") as file:
        file.write("\n".join(header).encode() + b"\n")
        file.write(vertices.astype("<f4").tobytes())
        file.write(rows.tobytes())


def _camera_entry(camera: CameraTruth) -> dict[str, object]:
    lens = camera.lens
    return {
        "name": camera.name,
        "R": camera.R.tolist(),
        "t": camera.t.tolist(),
        "C": camera.centre.tolist(),
        "fx": lens.focal,
        "fy": lens.focal,
        "cx": lens.width / 2,
        "cy": lens.height / 2,
        "w": lens.width,
        "h": lens.height,
        "distortion": {"model": "SIMPLE_RADIAL", "params": {"k1": lens.k1}},
    }
