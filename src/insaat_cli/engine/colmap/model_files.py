"""COLMAP's model files, read and written without COLMAP.

The three binary files that every version of COLMAP reads; newer ones write files about rigs and
frames beside them, which say nothing more for photos of one camera each. Layout: COLMAP,
doc/format.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.camera import NUMBERS, PARAMETERS, Camera
from insaat_cli.engine.colmap.model import Floats, Model, PlacedImage, Points
from insaat_cli.errors import StageError

CAMERAS, IMAGES, POINTS = "cameras.bin", "images.bin", "points3D.bin"
COUNT = struct.Struct("<Q")
CAMERA = struct.Struct("<iiQQ")
IMAGE = struct.Struct("<I7dI")
POINT = struct.Struct("<Q3d3BdQ")
FEATURE = np.dtype([("pixel", "<f8", 2), ("point", "<i8")])
ELEMENT = np.dtype([("image", "<u4"), ("pixel", "<u4")])


def read_model(folder: Path) -> Model:
    """The model in `folder`. Raises StageError for files that are missing, cut off or no models."""
    try:
        cameras = dict(_cameras((folder / CAMERAS).read_bytes()))
        images = dict(sorted(_images((folder / IMAGES).read_bytes())))
        points = _points((folder / POINTS).read_bytes())
    except (OSError, struct.error, ValueError, KeyError, IndexError) as error:
        raise StageError(f"cannot read the model in {folder.name}: {error}") from error
    return Model(cameras=cameras, images=images, points=points)


def read_models(folder: Path) -> list[Model]:
    """The models in the numbered folders below `folder`, most photos first, then most points."""
    folders = sorted(path for path in folder.iterdir() if (path / IMAGES).exists())
    models = [read_model(path) for path in folders]
    return sorted(models, key=lambda model: (len(model.images), len(model.points)), reverse=True)


def write_model(model: Model, folder: Path) -> None:
    """Write `model` to `folder`, which exists."""
    with (folder / CAMERAS).open("wb") as file:
        file.write(COUNT.pack(len(model.cameras)))
        for camera in model.cameras.values():
            number = NUMBERS[camera.model]
            file.write(CAMERA.pack(camera.camera_id, number, camera.width, camera.height))
            file.write(np.array(camera.params, "<f8").tobytes())
    with (folder / IMAGES).open("wb") as file:
        file.write(COUNT.pack(len(model.images)))
        for image in model.images.values():
            file.write(IMAGE.pack(image.image_id, *pose_values(image), image.camera_id))
            file.write(image.name.encode() + b"\0" + COUNT.pack(len(image.pixels)))
            features = np.empty(len(image.pixels), FEATURE)
            features["pixel"], features["point"] = image.pixels, image.point_ids
            file.write(features.tobytes())
    points = model.points
    with (folder / POINTS).open("wb") as file:
        file.write(COUNT.pack(len(points)))
        elements = np.empty(len(points.track_images), ELEMENT)
        elements["image"], elements["pixel"] = points.track_images, points.track_pixels
        for row, (start, end) in enumerate(zip(points.starts, points.starts[1:], strict=False)):
            file.write(
                POINT.pack(
                    points.ids[row], *points.positions[row], *points.colors[row],
                    points.errors[row], end - start,
                )
            )  # fmt: skip
            file.write(elements[start:end].tobytes())


def write_text(model: Model, folder: Path) -> None:
    """The same as text: cameras.txt, images.txt and points3D.txt."""
    lines = [
        f"{camera.camera_id} {camera.model} {camera.width} {camera.height} {_row(camera.params)}"
        for camera in model.cameras.values()
    ]
    (folder / "cameras.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "images.txt").open("w", encoding="utf-8") as file:
        for image in model.images.values():
            values = _row(pose_values(image))
            file.write(f"{image.image_id} {values} {image.camera_id} {image.name}\n")
            seen = zip(image.pixels.tolist(), image.point_ids.tolist(), strict=True)
            file.write(" ".join(f"{x!r} {y!r} {point}" for (x, y), point in seen) + "\n")
    points = model.points
    with (folder / "points3D.txt").open("w", encoding="utf-8") as file:
        for row in range(len(points)):
            track = np.stack(points.track(row), axis=1).ravel().tolist()
            color = " ".join(str(value) for value in points.colors[row])
            file.write(
                f"{points.ids[row]} {_row(points.positions[row])} {color} "
                f"{float(points.errors[row])!r} {' '.join(str(value) for value in track)}\n"
            )


def pose_values(image: PlacedImage) -> list[float]:
    """Quaternion (w first) and translation, as COLMAP writes them."""
    rotation = quaternion_of(image.cam_from_world[:, :3])
    return [*rotation.tolist(), *image.cam_from_world[:, 3].tolist()]


def quaternion_of(rotation: Floats) -> Floats:
    """[4] unit quaternion, w first and not negative, of a rotation matrix (Bar-Itzhack 2000)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    form = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, yx + xy, xz + zx],
            [xz - zx, yx + xy, yy - xx - zz, zy + yz],
            [yx - xy, xz + zx, zy + yz, zz - xx - yy],
        ]
    )
    quaternion = np.linalg.eigh(form)[1][:, -1]
    return np.asarray(-quaternion if quaternion[0] < 0 else quaternion)


def rotation_of(quaternion: Floats) -> Floats:
    """[3, 3] rotation of a quaternion, w first."""
    w, x, y, z = (quaternion / np.linalg.norm(quaternion)).tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _cameras(data: bytes) -> Iterator[tuple[int, Camera]]:
    (count,), at = COUNT.unpack_from(data), COUNT.size
    names = list(PARAMETERS)
    for _ in range(count):
        camera_id, number, width, height = CAMERA.unpack_from(data, at)
        at += CAMERA.size
        if not 0 <= number < len(names):
            raise ValueError(f"unknown camera model {number}")
        model = names[number]
        params = struct.unpack_from(f"<{len(PARAMETERS[model])}d", data, at)
        at += 8 * len(params)
        yield (
            camera_id,
            Camera(camera_id=camera_id, model=model, width=width, height=height, params=params),
        )


def _images(data: bytes) -> Iterator[tuple[int, PlacedImage]]:
    (count,), at = COUNT.unpack_from(data), COUNT.size
    for _ in range(count):
        image_id, *pose, camera_id = IMAGE.unpack_from(data, at)
        at += IMAGE.size
        end = data.index(b"\0", at)
        name = data[at:end].decode()
        (features,) = COUNT.unpack_from(data, end + 1)
        found = _array(data, FEATURE, features, end + 1 + COUNT.size)
        at = end + 1 + COUNT.size + features * FEATURE.itemsize
        yield (
            image_id,
            PlacedImage(
                image_id=image_id,
                name=name,
                camera_id=camera_id,
                cam_from_world=np.column_stack([rotation_of(np.array(pose[:4])), pose[4:]]),
                pixels=found["pixel"].copy(),
                point_ids=found["point"].astype(np.int64),
            ),
        )


def _points(data: bytes) -> Points:
    (count,), at = COUNT.unpack_from(data), COUNT.size
    heads, tracks = [], []
    for _ in range(count):
        head = POINT.unpack_from(data, at)
        at += POINT.size
        tracks.append(_array(data, ELEMENT, head[-1], at))
        at += head[-1] * ELEMENT.itemsize
        heads.append(head)
    elements = np.concatenate([np.zeros(0, ELEMENT), *tracks])
    table = np.array(heads, np.float64).reshape(-1, 9)
    return Points(
        ids=np.array([head[0] for head in heads], np.int64),
        positions=table[:, 1:4].copy(),
        colors=table[:, 4:7].astype(np.uint8),
        errors=table[:, 7].copy(),
        starts=np.concatenate([[0], np.cumsum(table[:, 8])]).astype(np.int64),
        track_images=elements["image"].astype(np.int64),
        track_pixels=elements["pixel"].astype(np.int64),
    )


def _array(data: bytes, kind: np.dtype[np.void], count: int, at: int) -> npt.NDArray[np.void]:
    if at + count * kind.itemsize > len(data):
        raise ValueError("the file is truncated")
    return np.frombuffer(data, kind, count, at)


def _row(values: object) -> str:
    return " ".join(repr(float(value)) for value in np.asarray(values, np.float64))
