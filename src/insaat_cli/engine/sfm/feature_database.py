"""Features of many photos, in a COLMAP database."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.database import Database, open_database
from insaat_cli.engine.sfm.sift import Features, SiftOptions, extract_features
from insaat_cli.engine.sfm.still_features import drop_still_features
from insaat_cli.engine.sfm.working_photos import WorkingPhoto
from insaat_cli.engine.working_images import read_mask

CAMERA_MODEL = "SIMPLE_RADIAL"
GUESSED_FOCAL_RATIO = 1.2
"""Focal length over the longest side where nothing is known: a phone's or a kit lens's."""
FAINT = 1 / 3
"""Contrast of features in a photo that shows little, as a share of the usual one. Of 30 photos of a
room with white walls 26 are registered without, and all 30 with."""
POOR_SHARE = 0.5
"""A photo with fewer features than this share of the most that it may have shows little."""
POOR_PIXELS = 500
"""Nor need a small photo have more than one in so many pixels."""
Progress = Callable[[float], None]


def camera_of(photo: WorkingPhoto, focal_ratio: float = GUESSED_FOCAL_RATIO) -> Camera:
    """The camera that a photo's group starts from: its focal length by EXIF, without one
    `focal_ratio` times the longest side."""
    focal_px = photo.focal_px or focal_ratio * max(photo.width, photo.height)
    return Camera(
        camera_id=photo.camera + 1,
        model=CAMERA_MODEL,
        width=photo.width,
        height=photo.height,
        params=(focal_px, photo.width / 2, photo.height / 2, 0.0),
    )


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
    with open_database(database) as store, ThreadPoolExecutor(threads) as pool:
        _write_cameras(store, photos)
        waiting: deque[Future[Features]] = deque()
        for index in range(len(photos) + threads):
            if index < len(photos):
                path = folder / photos[index].name
                waiting.append(pool.submit(features_of_file, path, options, max_side=max_side))
            if index >= threads:
                features = waiting.popleft().result()
                image_id = len(counts) + 1
                store.write_features(image_id, features.keypoints, features.descriptors)
                counts.append(len(features))
                progress(len(counts) / len(photos))
        for tripod in sorted({photo.tripod for photo in photos if photo.tripod is not None}):
            group = [k for k, photo in enumerate(photos, start=1) if photo.tripod == tripod]
            drop_still_features(store, group)
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
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    kept = read_mask(path, gray.shape[1], gray.shape[0])
    features = _enough_features(np.asarray(gray, np.uint8), options, kept)
    features.keypoints[:, 0] *= width / gray.shape[1]
    features.keypoints[:, 1] *= height / gray.shape[0]
    features.keypoints[:, 2] *= width / gray.shape[1]
    return features


def _enough_features(
    gray: npt.NDArray[np.uint8], options: SiftOptions, kept: npt.NDArray[np.bool_] | None
) -> Features:
    """Features of a picture; faint ones, too, where it has few others, as plaster and snow do.

    Where there are many, faint ones would only crowd out better ones.
    """
    features = extract_features(gray, options, kept)
    pixels = gray.size if kept is None else int(kept.sum())
    if len(features) >= min(POOR_SHARE * options.max_features, pixels / POOR_PIXELS):
        return features
    return extract_features(gray, replace(options, contrast=FAINT * options.contrast), kept)


def read_largest(store: Database, image_id: int, count: int) -> npt.NDArray[np.uint8]:
    """Descriptors [<= count, 128] of the features with the largest scale of one photo."""
    scales = store.keypoints(image_id)[:, 2]
    return store.descriptors(image_id)[np.argsort(-scales, kind="stable")[:count]]


def set_focal_ratio(database: Path, photos: Sequence[WorkingPhoto], focal_ratio: float) -> None:
    """Give the cameras without a known focal length another one to start from."""
    with open_database(database) as store:
        for photo in {photo.camera: photo for photo in photos}.values():
            if photo.focal_px is None:
                store.write_camera(camera_of(photo, focal_ratio), focal_is_known=False)


def _write_cameras(store: Database, photos: Sequence[WorkingPhoto]) -> None:
    for photo in {photo.camera: photo for photo in reversed(photos)}.values():
        store.write_camera(camera_of(photo), focal_is_known=photo.focal_px is not None)
    for image_id, photo in enumerate(photos, start=1):
        store.write_image(image_id, photo.name, photo.camera + 1)
