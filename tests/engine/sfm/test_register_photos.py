"""The ladder of attempts, with a backend that only counts: which photos are matched again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.database import CALIBRATED, PANORAMIC, open_database
from insaat_cli.engine.colmap.model import Model, PlacedImage, Points
from insaat_cli.engine.sfm.mapping_backend import NamePair
from insaat_cli.engine.sfm.register_photos import RegistrationJob, register_photos
from insaat_cli.engine.sfm.working_photos import WorkingPhoto

COUNT = 16
SIDEWAYS = np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""The fundamental matrix of a step to the side: rows stay."""


class Backend:
    """Registers the photos of the first model that is told, then those of the second, …"""

    name = "fake"

    def __init__(self, models: list[list[int]], verify: bool) -> None:
        self.models, self.verify, self.asked = models, verify, []  # type: ignore[var-annotated]

    def match(
        self, database: Path, pairs: Sequence[NamePair], *, threads: int, progress: Any
    ) -> None:
        self.asked += pairs
        if self.verify:
            with open_database(database) as store:
                rows = np.column_stack([np.arange(40), np.arange(40)])
                store.write_geometry(12, 13, CALIBRATED, rows, SIDEWAYS)

    def map_incrementally(
        self, database: Path, images: Path, scratch: Path, *, threads: int, forgiving: bool,
        on_image: Callable[[], None],
    ) -> list[Model]:  # fmt: skip
        ids = self.models.pop(0)
        return [model_of(ids)] if ids else []


def model_of(ids: list[int]) -> Model:
    images = {
        key: PlacedImage(
            image_id=key, camera_id=1, name=f"{key}.jpg", cam_from_world=np.eye(3, 4),
            pixels=np.zeros((0, 2)), point_ids=np.zeros(0, np.int64),
        )
        for key in ids
    }  # fmt: skip
    none = np.zeros(0, np.int64)
    points = Points(
        ids=none, positions=np.zeros((0, 3)), colors=np.zeros((0, 3), np.uint8),
        errors=np.zeros(0), starts=np.zeros(1, np.int64), track_images=none, track_pixels=none,
    )  # fmt: skip
    return Model(cameras={1: CAMERA}, images=images, points=points)


CAMERA = Camera(
    camera_id=1, model="SIMPLE_RADIAL", width=64, height=48, params=(60.0, 32.0, 24.0, 0.0)
)


def job(folder: Path, backend: Backend) -> RegistrationJob:
    photos = [
        WorkingPhoto(
            name=f"{k}.jpg", source=f"{k}.jpg", width=64, height=48, focal_px=60.0, camera=0
        )
        for k in range(1, COUNT + 1)
    ]
    generator = np.random.default_rng(0)
    with open_database(folder / "database.db") as store:
        store.write_camera(CAMERA, focal_is_known=True)
        for key, photo in enumerate(photos, start=1):
            store.write_image(key, photo.name, 1)
            if key != 13:  # which shows the same as 12
                keypoints = generator.uniform(0, 48, (50, 4)).astype(np.float32)
                looks = generator.normal(size=(50, 128)) ** 2
                looks *= 512 / np.linalg.norm(looks, axis=1, keepdims=True)
            store.write_features(key, keypoints, np.clip(looks, 0, 255).astype(np.uint8))
    scratch = folder / "scratch"
    scratch.mkdir()
    return RegistrationJob(
        photos=photos, images=folder, database=folder / "database.db", scratch=scratch,
        backend=backend,  # type: ignore[arg-type]
        max_side=100, threads=1, progress=lambda share: None, on_escalation=pytest.fail,
    )  # fmt: skip


ALL, BUT_ONE = list(range(1, COUNT + 1)), [k for k in range(1, COUNT + 1) if k != 12]


def test_one_photo_that_is_missing_is_matched_with_all_others(tmp_path: Path) -> None:
    backend = Backend([BUT_ONE, ALL], verify=True)
    best, attempts = register_photos(job(tmp_path, backend), escalate=True)
    assert (best.registered, len(attempts)) == (16, 2)
    assert len(backend.asked) == 15
    assert all("12.jpg" in pair for pair in backend.asked)


def test_what_matches_nothing_then_costs_no_second_mapping(tmp_path: Path) -> None:
    backend = Backend([BUT_ONE], verify=False)
    best, attempts = register_photos(job(tmp_path, backend), escalate=True)
    assert (best.registered, len(attempts)) == (15, 1)


@pytest.mark.parametrize(("first", "escalate"), [(ALL, True), (BUT_ONE, False)])
def test_nothing_is_matched_again_where_all_are_there_or_none_asked(
    first: list[int], escalate: bool, tmp_path: Path
) -> None:
    backend = Backend([first], verify=True)
    register_photos(job(tmp_path, backend), escalate=escalate)
    assert backend.asked == []


def test_where_no_photo_is_registered_none_is_missing(tmp_path: Path) -> None:
    """Copies of one photo: there is no model to which the others could be joined."""
    job_of_copies = job(tmp_path, Backend([[]], verify=False))
    with open_database(job_of_copies.database) as store:
        rows = np.column_stack([np.arange(40), np.arange(40)])
        store.write_geometry(1, 2, PANORAMIC, rows, np.eye(3))
    best, attempts = register_photos(job_of_copies, escalate=True)
    assert (best.registered, len(attempts)) == (0, 1)
