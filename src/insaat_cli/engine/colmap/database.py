"""COLMAP's database, read and written with SQLite alone.

The tables are those of COLMAP 3.8, which is the oldest one that distributions still have; newer
ones bring them up to date when they open them, and find the same in them. Source: COLMAP 3.8,
src/base/database.cc.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.colmap.camera import NUMBERS, Camera

Matrix = npt.NDArray[np.float64]
VERSION = 3800
PAIR_BASE = 2147483647
UNDEFINED, CALIBRATED, UNCALIBRATED, PLANAR = 0, 2, 3, 4
PANORAMIC, PLANAR_OR_PANORAMIC, WATERMARK = 5, 6, 7
"""COLMAP's numbers for two-view geometries; those of the second line hold no parallax."""
TABLES = (
    "CREATE TABLE cameras (camera_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
    "model INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, params BLOB, "
    "prior_focal_length INTEGER NOT NULL)",
    "CREATE TABLE images (image_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
    "name TEXT NOT NULL UNIQUE, camera_id INTEGER NOT NULL, prior_qw REAL, prior_qx REAL, "
    "prior_qy REAL, prior_qz REAL, prior_tx REAL, prior_ty REAL, prior_tz REAL, "
    "CONSTRAINT image_id_check CHECK(image_id >= 0 and image_id < 2147483647), "
    "FOREIGN KEY(camera_id) REFERENCES cameras(camera_id))",
    "CREATE UNIQUE INDEX index_name ON images(name)",
    "CREATE TABLE keypoints (image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, "
    "cols INTEGER NOT NULL, data BLOB, "
    "FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE)",
    "CREATE TABLE descriptors (image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, "
    "cols INTEGER NOT NULL, data BLOB, "
    "FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE)",
    "CREATE TABLE matches (pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, "
    "cols INTEGER NOT NULL, data BLOB)",
    "CREATE TABLE two_view_geometries (pair_id INTEGER PRIMARY KEY NOT NULL, "
    "rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB, config INTEGER NOT NULL, "
    "F BLOB, E BLOB, H BLOB, qvec BLOB, tvec BLOB)",
    f"PRAGMA user_version = {VERSION}",
)
GEOMETRY = "pair_id, rows, config, data, F, H"
COPIED = {
    "cameras": "camera_id, model, width, height, params, prior_focal_length",
    "images": "image_id, name, camera_id",
    "keypoints": "image_id, rows, cols, data",
    "descriptors": "image_id, rows, cols, data",
    "matches": "pair_id, rows, cols, data",
    "two_view_geometries": "pair_id, rows, cols, data, config, F, E, H, qvec, tvec",
}


@dataclass(frozen=True, kw_only=True)
class TwoViewGeometry:
    """What is known of a pair of images, the one with the smaller id first."""

    first: int
    second: int
    config: int
    """COLMAP's number for the kind of geometry."""
    inliers: npt.NDArray[np.int64]
    """[n, 2] rows of the verified features."""
    fundamental: Matrix
    """[3, 3] from the first image's points to lines in the second; zero where unknown."""
    homography: Matrix
    """[3, 3] from the first image's points to the second's; zero where unknown."""


class Database:
    """An open database. Changes are written when it is left without an error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def write_camera(self, camera: Camera, *, focal_is_known: bool) -> None:
        """Add a camera, or change the one with its id."""
        params = np.array(camera.params, "<f8").tobytes()
        self._sql.execute(
            "INSERT INTO cameras "
            "(camera_id, model, width, height, params, prior_focal_length) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (camera_id) DO UPDATE SET "
            "model = excluded.model, params = excluded.params, "
            "prior_focal_length = excluded.prior_focal_length",
            (camera.camera_id, NUMBERS[camera.model], camera.width, camera.height, params,
             int(focal_is_known)),
        )  # fmt: skip

    def write_image(self, image_id: int, name: str, camera_id: int) -> None:
        """Add an image."""
        self._sql.execute(
            "INSERT INTO images (image_id, name, camera_id) VALUES (?, ?, ?)",
            (image_id, name, camera_id),
        )

    def write_features(
        self,
        image_id: int,
        keypoints: npt.NDArray[np.float32],
        descriptors: npt.NDArray[np.uint8],
    ) -> None:
        """Add keypoints [n, 4] (x, y, scale, angle) and descriptors [n, 128] of an image."""
        for table, rows, kind in (
            ("keypoints", keypoints, "<f4"),
            ("descriptors", descriptors, "u1"),
        ):
            data = np.ascontiguousarray(rows, kind).tobytes()
            self._sql.execute(
                f"INSERT INTO {table} (image_id, rows, cols, data) VALUES (?, ?, ?, ?)",  # noqa: S608
                (image_id, *rows.shape, data),
            )

    def replace_features(
        self,
        image_id: int,
        keypoints: npt.NDArray[np.float32],
        descriptors: npt.NDArray[np.uint8],
    ) -> None:
        """Put others in the place of an image's features, before it is matched."""
        for table in ("keypoints", "descriptors"):
            self._sql.execute(f"DELETE FROM {table} WHERE image_id = ?", (image_id,))  # noqa: S608
        self.write_features(image_id, keypoints, descriptors)

    def write_geometry(
        self,
        first: int,
        second: int,
        config: int,
        inliers: npt.NDArray[np.integer[Any]],
        fundamental: Matrix,
    ) -> None:
        """Add what is known of two image ids, `first` the smaller."""
        self._sql.execute(
            "INSERT INTO two_view_geometries (pair_id, rows, cols, data, config, F, E, H) "
            "VALUES (?, ?, 2, ?, ?, ?, ?, ?)",
            (pair_id_of(first, second), len(inliers),
             np.ascontiguousarray(inliers, "<u4").tobytes(), config,
             np.ascontiguousarray(fundamental, "<f8").tobytes(), b"", b""),
        )  # fmt: skip

    def image_names(self) -> dict[int, str]:
        """File name of every image, by its id."""
        return dict(self._sql.execute("SELECT image_id, name FROM images"))

    def keypoints(self, image_id: int) -> npt.NDArray[np.float32]:
        """[n, 2 or more] x and y first, then scale."""
        return self._table("keypoints", image_id, "<f4")

    def descriptors(self, image_id: int) -> npt.NDArray[np.uint8]:
        """[n, 128]"""
        return self._table("descriptors", image_id, "u1")

    def longest_sides(self) -> dict[int, int]:
        """Longest side in pixels of every image."""
        return dict(
            self._sql.execute(
                "SELECT image_id, max(width, height) FROM images "
                "JOIN cameras ON images.camera_id = cameras.camera_id"
            )
        )

    def inlier_counts(self) -> dict[tuple[int, int], int]:
        """Verified matches of every pair of image ids that has some, the smaller id first."""
        rows = self._sql.execute("SELECT pair_id, rows FROM two_view_geometries WHERE rows > 0")
        return {image_ids_of(pair_id): count for pair_id, count in rows}

    def match_count(self, first: int, second: int) -> int:
        """Matches of two image ids before they were verified."""
        query = "SELECT rows FROM matches WHERE pair_id = ?"
        row = self._sql.execute(query, (pair_id_of(first, second),)).fetchone()
        return int(row[0]) if row else 0

    def two_view_geometries(self) -> Iterator[TwoViewGeometry]:
        """Every pair that was verified, whatever came out."""
        query = f"SELECT {GEOMETRY} FROM two_view_geometries ORDER BY pair_id"  # noqa: S608
        for row in self._sql.execute(query).fetchall():
            yield _geometry(row)

    def two_view_geometry(self, first: int, second: int) -> TwoViewGeometry | None:
        """The geometry of two image ids; None where they were not verified."""
        query = f"SELECT {GEOMETRY} FROM two_view_geometries WHERE pair_id = ?"  # noqa: S608
        row = self._sql.execute(query, (pair_id_of(first, second),)).fetchone()
        return None if row is None else _geometry(row)

    def replace_inliers(
        self, first: int, second: int, inliers: npt.NDArray[np.integer[Any]]
    ) -> None:
        """Other verified matches [n, 2] for two image ids, `first` the smaller; none: no pair."""
        data = np.ascontiguousarray(inliers, "<u4").tobytes()
        pair_id = pair_id_of(first, second)
        if len(inliers):
            self._sql.execute(
                "UPDATE two_view_geometries SET rows = ?, data = ? WHERE pair_id = ?",
                (len(inliers), data, pair_id),
            )
        else:
            self._sql.execute(
                "UPDATE two_view_geometries SET rows = 0, data = ?, config = ?, F = ?, E = ?, "
                "H = ? WHERE pair_id = ?",
                (data, UNDEFINED, b"", b"", b"", pair_id),
            )

    def _table(self, table: str, image_id: int, kind: str) -> npt.NDArray[Any]:
        query = f"SELECT rows, cols, data FROM {table} WHERE image_id = ?"  # noqa: S608
        row = self._sql.execute(query, (image_id,)).fetchone()
        if row is None:
            return np.zeros((0, 4), kind)
        return np.frombuffer(row[2] or b"", kind).reshape(row[:2])


@contextmanager
def open_database(path: Path) -> Iterator[Database]:
    """The database at `path`, with empty tables where there was none.

    Not while pycolmap works on it in this process: see `pycolmap_door`.
    """
    is_new = not path.exists()
    with closing(sqlite3.connect(path)) as connection:
        if is_new:
            _create(connection)
        with connection:
            yield Database(connection)


@contextmanager
def read_database(path: Path) -> Iterator[Database]:
    """The database at `path`, which nobody changes any more: no lock, and no file beside it.

    Raises sqlite3.Error where it is none.
    """
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        yield Database(connection)


def copy_plain(source: Path, target: Path) -> None:
    """Copy a database of any version to a new one with the tables of the oldest."""
    with closing(sqlite3.connect(target)) as connection:
        _create(connection)
        connection.execute("ATTACH DATABASE ? AS source", (str(source),))
        with connection:
            for table, columns in COPIED.items():
                connection.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {columns} FROM source.{table}"  # noqa: S608
                )


def pair_id_of(first: int, second: int) -> int:
    """COLMAP's number of a pair of image ids."""
    return min(first, second) * PAIR_BASE + max(first, second)


def image_ids_of(pair_id: int) -> tuple[int, int]:
    """The two image ids behind COLMAP's number of a pair, the smaller first."""
    first, second = divmod(pair_id, PAIR_BASE)
    return min(first, second), max(first, second)


def _geometry(row: tuple[Any, ...]) -> TwoViewGeometry:
    pair_id, count, config, data, fundamental, homography = row
    first, second = image_ids_of(pair_id)
    return TwoViewGeometry(
        first=first,
        second=second,
        config=config,
        inliers=np.frombuffer(data or b"", "<u4").astype(np.int64).reshape(count, 2),
        fundamental=_matrix(fundamental),
        homography=_matrix(homography),
    )


def _matrix(data: bytes | None) -> Matrix:
    return np.frombuffer(data, "<f8").reshape(3, 3).copy() if data else np.zeros((3, 3))


def _create(connection: sqlite3.Connection) -> None:
    with connection:
        for statement in TABLES:
            connection.execute(statement)
