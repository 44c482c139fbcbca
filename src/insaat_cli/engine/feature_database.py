"""Features of many photos, in a COLMAP database."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pycolmap

from insaat_cli.engine.photo_mask import read_mask
from insaat_cli.engine.sift import Features, SiftOptions, extract_features

CAMERA_MODEL = "SIMPLE_RADIAL"
GUESSED_FOCAL_RATIO = 1.2
"""Focal length over the longest side where nothing is known: a phone's or a kit lens's."""

Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class WorkingPhoto:
    """One entry of images.json, as far as the geometry needs it."""

    name: str
    source: str
    """The name that the user knows."""
    width: int
    height: int
    focal_px: float | None
    camera: int
    """Photos of one group share their intrinsics."""
    gps: tuple[float, float, float] | None = None
    time: str | None = None


def camera_of(photo: WorkingPhoto, focal_ratio: float = GUESSED_FOCAL_RATIO) -> pycolmap.Camera:
    """The COLMAP camera that a photo's group starts from; a focal length of EXIF is a prior,
    without one it is `focal_ratio` times the longest side."""
    side = max(photo.width, photo.height)
    camera = pycolmap.Camera.create_from_model_name(
        photo.camera + 1,
        CAMERA_MODEL,
        photo.focal_px or focal_ratio * side,
        photo.width,
        photo.height,
    )
    camera.has_prior_focal_length = photo.focal_px is not None
    return camera


def write_features(
    photos: Sequence[WorkingPhoto],
    folder: Path,
    database: Path,
    options: SiftOptions,
    *,
    max_side: int,
    threads: int,
    progress: Progress,
) -> list[int]:
    """Write cameras, images and features to a new `database`; returns features a photo.

    Image ids are positions in `photos`, from 1. Raises OSError when a picture cannot be read.
    """
    cv2.setNumThreads(1)  # one photo a thread keeps all of them busy
    counts: list[int] = []
    with pycolmap.Database.open(database) as store, ThreadPoolExecutor(threads) as pool:
        _write_cameras(store, photos)
        waiting: deque[Future[Features]] = deque()
        for index in range(len(photos) + threads):
            if index < len(photos):
                path = folder / photos[index].name
                waiting.append(pool.submit(features_of_file, path, options, max_side=max_side))
            if index >= threads:
                features = waiting.popleft().result()
                _write_features(store, len(counts) + 1, features)
                counts.append(len(features))
                progress(len(counts) / len(photos))
    return counts


def features_of_file(path: Path, options: SiftOptions, *, max_side: int) -> Features:
    """Features of one picture, found at `max_side` at most, in pixels of the full picture.

    None where its mask, if it has one, says that it does not count.
    """
    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise OSError(f"{path.name} cannot be read")
    height, width = gray.shape
    factor = min(1.0, max_side / max(height, width))
    if factor < 1.0:
        size = (round(width * factor), round(height * factor))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    kept = read_mask(path, gray.shape[1], gray.shape[0])
    features = extract_features(np.asarray(gray, np.uint8), options, kept)
    features.keypoints[:, 0] *= width / gray.shape[1]
    features.keypoints[:, 1] *= height / gray.shape[0]
    features.keypoints[:, 2] *= width / gray.shape[1]
    return features


def read_largest(store: pycolmap.Database, image_id: int, count: int) -> npt.NDArray[np.uint8]:
    """Descriptors [<= count, 128] of the features with the largest scale of one photo."""
    scales = np.asarray(store.read_keypoints(image_id))[:, 2]
    descriptors = np.asarray(store.read_descriptors(image_id).data)
    return descriptors[np.argsort(-scales, kind="stable")[:count]]


def set_focal_ratio(database: Path, photos: Sequence[WorkingPhoto], focal_ratio: float) -> None:
    """Give the cameras without a known focal length another one to start from."""
    with pycolmap.Database.open(database) as store:
        for photo in {photo.camera: photo for photo in photos}.values():
            if photo.focal_px is None:
                store.update_camera(camera_of(photo, focal_ratio))


def _write_cameras(store: pycolmap.Database, photos: Sequence[WorkingPhoto]) -> None:
    """Cameras and images, and the trivial rig and frame that COLMAP wants around each."""
    written: set[int] = set()
    for image_id, photo in enumerate(photos, start=1):
        camera = camera_of(photo)
        if camera.camera_id not in written:
            written.add(camera.camera_id)
            store.write_camera(camera, use_camera_id=True)
            rig = pycolmap.Rig(rig_id=camera.camera_id)
            rig.add_ref_sensor(camera.sensor_id)
            store.write_rig(rig, use_rig_id=True)
        image = pycolmap.Image(name=photo.name, camera_id=camera.camera_id, image_id=image_id)
        store.write_image(image, use_image_id=True)
        frame = pycolmap.Frame(frame_id=image_id, rig_id=camera.camera_id)
        frame.add_data_id(image.data_id)
        store.write_frame(frame, use_frame_id=True)


def _write_features(store: pycolmap.Database, image_id: int, features: Features) -> None:
    store.write_keypoints(image_id, features.keypoints)
    descriptors = pycolmap.FeatureDescriptors(
        type=pycolmap.FeatureExtractorType.SIFT, data=np.ascontiguousarray(features.descriptors)
    )
    store.write_descriptors(image_id, descriptors)
