"""The truth that is written must be what the photos show."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from PIL import ExifTags, Image

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.scenes import SceneTruth, Subject, make_photo_set
from insaat_cli.scenes.photograph import undistorted_radius


def project(entry: dict, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 2) and depths (n,) of world points, from nothing but a cameras.json entry."""
    local = points @ np.array(entry["R"]).T + np.array(entry["t"])
    x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
    bend = 1 + entry["distortion"]["params"]["k1"] * (x * x + y * y)
    u = entry["fx"] * x * bend + entry["cx"]
    return np.stack([u, entry["fy"] * y * bend + entry["cy"]], 1), local[:, 2]


def visible(entry: dict, truth: SceneTruth, points: np.ndarray) -> np.ndarray:
    R, t = np.array(entry["R"]), np.array(entry["t"])
    K = np.array([[entry["fx"], 0, entry["cx"]], [0, entry["fy"], entry["cy"]], [0, 0, 1]])
    size = (entry["w"], entry["h"])
    depth = rasterize(truth.mesh.vertices @ R.T + t, truth.mesh.faces, K, *size).depth
    local = points @ R.T + t
    u, v = (local @ K.T)[:, :2].T / local[:, 2]
    inside = (u > 2) & (v > 2) & (u < size[0] - 2) & (v < size[1] - 2)
    row, column = np.where(inside, v, 0).astype(int), np.where(inside, u, 0).astype(int)
    return inside & (local[:, 2] < depth[row, column] + 0.004)


def grey(truth: SceneTruth, name: str) -> np.ndarray:
    return np.asarray(Image.open(truth.images / name).convert("L"), dtype=np.float32)


def look_up(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    place = (pixels - 0.5).astype(np.float32)[:, None]
    return cv2.remap(image, place[..., :1], place[..., 1:], cv2.INTER_LINEAR)[:, 0]


def test_neighbouring_photos_agree_where_the_truth_says_so_and_nowhere_beside(
    statue: SceneTruth,
) -> None:
    entries = json.loads((statue.folder / "cameras.json").read_text())
    first, second = entries[0], entries[1]
    mesh = statue.mesh
    facing = np.ones(len(mesh.vertices), dtype=bool)
    for entry in (first, second):
        towards = np.array(entry["C"]) - mesh.vertices
        cosine = (mesh.normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
        facing &= (cosine > 0.6) & visible(entry, statue, mesh.vertices)
    points = mesh.vertices[facing]
    assert len(points) > 2000
    left = look_up(grey(statue, first["name"]), project(first, points)[0])
    image, pixels = grey(statue, second["name"]), project(second, points)[0]

    def agreement(dx: float, dy: float) -> float:
        return float(np.corrcoef(left, look_up(image, pixels + np.array([dx, dy])))[0, 1])

    here = agreement(0, 0)
    assert here > 0.96
    for direction in ((1, 0), (0, 1)):
        before, after = (agreement(*(sign * np.array(direction))) for sign in (-1, 1))
        peak = 0.5 * (before - after) / (before - 2 * here + after)
        assert abs(peak) < 0.12, f"the best match lies {peak:.2f} px away along {direction}"


def test_background_is_plain_and_above_the_horizon(statue: SceneTruth) -> None:
    entries = json.loads((statue.folder / "cameras.json").read_text())
    assert all(entry["C"][2] > 0.2 for entry in entries)
    sky = grey(statue, entries[0]["name"])[:6]
    assert sky.std() < 6


def test_lens_bends_straight_lines_by_what_it_says() -> None:
    straight = np.linspace(0, 0.7, 50)
    for k1 in (-0.1, 0.0, 0.08):
        bent = straight * (1 + k1 * straight**2)
        np.testing.assert_allclose(undistorted_radius(bent, k1), straight, atol=1e-12)


def test_cameras_are_rotations_that_look_at_the_subject(statue: SceneTruth) -> None:
    for camera in statue.cameras:
        np.testing.assert_allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(camera.R) > 0
        pixel = camera.lens.K @ (camera.R @ [0, 0, 0.42] + camera.t)
        assert abs(pixel[0] / pixel[2] - camera.lens.width / 2) < 0.15 * camera.lens.width
        assert camera.R[1] @ [0, 0, 1] < -0.5, "the image is upside down"


def test_object_file_is_the_mesh_standing_on_the_ground(statue: SceneTruth) -> None:
    mesh = trimesh.load(statue.folder / "object.ply", process=False)
    np.testing.assert_allclose(mesh.vertices, statue.mesh.vertices, atol=1e-6)
    assert mesh.bounds[0, 2] < 0.01 < 0.8 < mesh.bounds[1, 2]
    assert mesh.volume > 0, "faces look inwards"
    agreement = (mesh.vertex_normals * statue.mesh.normals).sum(axis=1)
    assert np.median(agreement) > 0.99


def test_exif_tells_the_focal_length_and_the_order(statue: SceneTruth) -> None:
    times = []
    for camera in statue.cameras:
        details = Image.open(statue.images / camera.name).getexif().get_ifd(ExifTags.IFD.Exif)
        in_pixels = details[ExifTags.Base.FocalLengthIn35mmFilm] / 36 * camera.lens.width
        assert in_pixels == pytest.approx(camera.lens.focal, rel=0.02)
        times.append(details[ExifTags.Base.DateTimeOriginal])
    assert times == sorted(set(times))


def test_same_arguments_same_photos(tmp_path: Path) -> None:
    def digests(folder: Path, seed: int) -> list[str]:
        truth = make_photo_set(folder, photos=3, width=160, height=120, seed=seed)
        return [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(truth.images.iterdir())]

    again = digests(tmp_path / "b", 5)
    assert digests(tmp_path / "a", 5) == again
    assert not set(digests(tmp_path / "c", 6)) & set(again)


@pytest.mark.parametrize("subject", list(Subject))
def test_every_subject_fills_a_fair_part_of_every_photo(subject: Subject, tmp_path: Path) -> None:
    truth = make_photo_set(tmp_path, photos=3, width=160, height=120, subject=subject, exif=False)
    for camera in truth.cameras:
        local = truth.mesh.vertices @ camera.R.T + camera.t
        faces, K = truth.mesh.faces, camera.lens.K
        seen = np.isfinite(rasterize(local, faces, K, 160, 120).depth).mean()
        fair = (0.8, 1.01) if subject is Subject.ROOM else (0.06, 0.6)
        assert fair[0] < seen < fair[1]
        details = Image.open(truth.images / camera.name).getexif().get_ifd(ExifTags.IFD.Exif)
        assert ExifTags.Base.FocalLength not in details
