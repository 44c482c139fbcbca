"""How many threads of this process may use which parts of pycolmap."""

from __future__ import annotations

import ctypes
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pycolmap
import pytest

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.database import UNDEFINED, open_database
from insaat_cli.engine.sfm import pycolmap_backend
from insaat_cli.engine.sfm.pycolmap_backend import (
    BLAS_THRESHOLD,
    REPRODUCIBLE_PHOTOS,
    PycolmapBackend,
    adjusting_threads,
    matching_threads,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="wheels for Linux have the fault")


@linux_only
def test_threads_that_match_do_without_the_shared_buffers() -> None:
    library = pycolmap._core.__file__
    assert matching_threads(library, 4) == 4
    # No set of photos has so many features that faiss would call OpenBLAS.
    assert ctypes.c_int.in_dll(ctypes.CDLL(library), BLAS_THRESHOLD).value == 2**31 - 1


@linux_only
def test_one_thread_where_faiss_cannot_be_told(tmp_path: Path) -> None:
    other = np._core._multiarray_umath.__file__
    assert matching_threads(other, 4) == 1
    (tmp_path / "text.so").write_text("not a library")
    assert matching_threads(str(tmp_path / "text.so"), 4) == 1
    assert matching_threads(str(tmp_path / "absent.so"), 4) == 1


def test_other_systems_have_another_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert matching_threads("nowhere", 4) == 4


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("Python's SQLite has no business here while pycolmap's own is at work")


def make_database(path: Path, photos: int) -> Path:
    """Photos with the same 300 features; the first two are verified already."""
    generator = np.random.default_rng(0)
    keypoints = np.zeros((300, 4), np.float32)
    keypoints[:, :2] = generator.uniform(0, 480, (300, 2))
    descriptors = generator.integers(0, 60, (300, 128), np.uint8)
    camera = Camera(
        camera_id=1, model="SIMPLE_RADIAL", width=640, height=480, params=(600.0, 320.0, 240.0, 0.0)
    )
    with open_database(path) as store:
        store.write_camera(camera, focal_is_known=True)
        for image_id in range(1, photos + 1):
            store.write_image(image_id, f"{image_id}.jpg", 1)
            store.write_features(image_id, keypoints, descriptors)
        store.write_geometry(1, 2, UNDEFINED, np.zeros((0, 2), int), np.zeros((3, 3)))
    return path


def test_matching_asks_how_many_and_tells_its_progress(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database, shares = make_database(tmp_path / "d.db", 4), list[float]()

    def match(path: Path, matching: Any, pairing: Any, *_: Any, **__: Any) -> None:
        assert matching.num_threads == 5
        assert Path(pairing.match_list_path).read_text() == "a b\na c\na d\nb c"
        for second in (3, 4):
            with pycolmap.Database.open(path) as store:  # as COLMAP does, beside who counts
                store.write_two_view_geometry(1, second, pycolmap.TwoViewGeometry())
            deadline = time.monotonic() + 20
            while len(shares) == 0 or shares[-1] < (second - 2) / 4:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(pycolmap_backend, "COUNT_EVERY_S", 0.01)
    monkeypatch.setattr(pycolmap_backend, "matching_threads", lambda library, threads: threads - 3)
    monkeypatch.setattr(pycolmap, "match_image_pairs", match)
    pairs = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c")]
    PycolmapBackend().match(database, pairs, threads=8, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["d.db"]


def test_pythons_sqlite_stays_away_while_pycolmap_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database, shares = make_database(tmp_path / "d.db", 3), list[float]()
    (tmp_path / "models").mkdir()
    backend = PycolmapBackend()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        patch.setattr(pycolmap_backend, "COUNT_EVERY_S", 0.0)
        pairs = [("1.jpg", "3.jpg"), ("2.jpg", "3.jpg")]
        backend.match(database, pairs, threads=2, progress=shares.append)
        backend.map_incrementally(
            database, tmp_path, tmp_path / "models", threads=2, forgiving=False,
            on_image=lambda: None,
        )  # fmt: skip
    assert shares[-1] == 1.0
    with open_database(database) as store:
        assert set(store.inlier_counts()) == {(1, 3), (2, 3)}


def test_cameras_of_few_photos_are_adjusted_by_one_thread() -> None:
    assert adjusting_threads(REPRODUCIBLE_PHOTOS, 8) == 1
    assert adjusting_threads(REPRODUCIBLE_PHOTOS + 1, 8) == 8
