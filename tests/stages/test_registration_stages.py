"""features, matching, sparse and undistort on photos of a textured relief with true cameras."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap
import pytest
from tests.availability import missing

from insaat_cli.engine.sfm.working_photos import read_photos
from insaat_cli.engine.working_images import write_mask
from insaat_cli.errors import DoNotFitError, PhotosError
from insaat_cli.external.programs import locate
from insaat_cli.pipeline.stage_contract import Events
from insaat_cli.stages.features import FeaturesOptions, find_features
from insaat_cli.stages.matching import MatchingOptions, match_photos
from insaat_cli.stages.sparse import SparseOptions, register
from insaat_cli.stages.undistort import UndistortOptions, undistort_photos

WIDTH, HEIGHT, FOCAL = 640, 480, 600.0
SHEETS_Z = (0.0, -0.6)
"""Two upright textured sheets, the nearer one narrower: real parallax, no renderer."""


@functools.cache
def texture(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    layers = [
        cv2.GaussianBlur(generator.normal(size=(800, 800)), (0, 0), s) * s for s in (1.5, 3, 6)
    ]
    total = np.sum(layers, axis=0)
    return np.clip(128 + 55 * total / total.std(), 0, 255).astype(np.uint8)


def photograph(center: np.ndarray, seed: int) -> np.ndarray:
    """View along +z with y up of the sheets; a homography each, the nearer one painted last."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    for index, (z, half) in enumerate(zip(SHEETS_Z, (2.0, 0.7), strict=True)):
        corners = np.array([[-half, half], [half, half], [half, -half], [-half, -half]])
        depth = center[2] - z
        pixels = np.stack(
            [
                FOCAL * (corners[:, 0] - center[0]) / depth + WIDTH / 2 - 0.5,
                FOCAL * (center[1] - corners[:, 1]) / depth + HEIGHT / 2 - 0.5,
            ],
            axis=1,
        ).astype(np.float32)
        square = np.array([[0, 0], [800, 0], [800, 800], [0, 800]], np.float32) - 0.5
        to_photo = cv2.getPerspectiveTransform(square, pixels)
        sheet = cv2.warpPerspective(
            texture(seed + index), to_photo, (WIDTH, HEIGHT), flags=cv2.INTER_AREA
        )
        mask = cv2.warpPerspective(np.full((800, 800), 255, np.uint8), to_photo, (WIDTH, HEIGHT))
        picture = np.where(mask > 127, sheet, picture)
    return picture


def make_set(folder: Path, pictures: list[np.ndarray], focal_px: float | None = FOCAL) -> Path:
    """A `resize` output folder."""
    (folder / "images").mkdir(parents=True)
    entries = []
    for index, picture in enumerate(pictures):
        name = f"{index:05d}.jpg"
        cv2.imwrite(str(folder / "images" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 98])
        entries.append(
            {
                "name": name,
                "source": f"photo {index}.JPG",
                "width": WIDTH,
                "height": HEIGHT,
                "focal_px": focal_px,
                "camera": 0,
                "gps": None,
                "time": None,
            }
        )
    (folder / "images.json").write_text(json.dumps({"images": entries}))
    return folder


def centers_of(count: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    across = np.linspace(-0.9, 0.9, count)
    jitter = generator.uniform(-0.15, 0.15, (count, 2))
    return np.stack([across, jitter[:, 0], 3.0 + jitter[:, 1]], axis=1)


def place(
    resized: Path,
    output: Path,
    *,
    escalate: bool = False,
    backend: str = "AUTO",
    features: FeaturesOptions | None = None,
) -> tuple[Any, str]:
    """features, matching and sparse in one go: the metrics of sparse, and all events."""
    stream = io.StringIO()
    events, photos, database = Events(stream), read_photos(resized), output / "database.db"
    output.mkdir()
    images = resized / "images"
    find_features(photos, images, database, features or FeaturesOptions(), threads=2, events=events)
    match_photos(photos, database, MatchingOptions(backend=backend), threads=2, events=events)
    (output / "sparse").mkdir()
    metrics = register(
        photos,
        images,
        database,
        output / "sparse",
        SparseOptions(escalate=escalate, backend=backend),
        threads=2,
        events=events,
    )
    return metrics, stream.getvalue()


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    root = tmp_path_factory.mktemp("relief")
    resized = make_set(root / "resize", [photograph(c, 10) for c in centers_of(6)])
    metrics, _ = place(resized, root / "out")
    return resized, root / "out", metrics


def test_cameras_are_where_they_were(registered: tuple[Path, Path, Any]) -> None:
    _, out, metrics = registered
    assert metrics["registered"] == 6
    assert metrics["reprojection_error_px"] < 0.7
    cameras = json.loads((out / "sparse" / "cameras.json").read_text())
    assert [c["name"] for c in cameras["images"]] == [f"photo {i}.JPG" for i in range(6)]
    found = np.array([c["center"] for c in cameras["images"]])
    truth = centers_of(6)
    # The world is upright and faces +Z already, so only scale and shift are free.
    found, truth = found - found.mean(axis=0), truth - truth.mean(axis=0)
    scale = np.linalg.norm(truth) / np.linalg.norm(found)
    # All look along one direction, which leaves depth open but for the focal length by EXIF.
    np.testing.assert_allclose(scale * found, truth, atol=0.003)
    assert cameras["images"][0]["K"][0][0] == pytest.approx(FOCAL)


def test_without_exif_the_open_depth_is_told(tmp_path: Path) -> None:
    resized = make_set(
        tmp_path / "resize", [photograph(c, 10) for c in centers_of(5)], focal_px=None
    )
    _, events = place(resized, tmp_path / "out")
    assert "too deep or too flat" in events


def test_the_colmap_program_places_them_as_well(
    registered: tuple[Path, Path, Any], tmp_path: Path
) -> None:
    if locate("colmap") is None:
        missing("the colmap program")
    resized, _, by_package = registered
    few = FeaturesOptions(max_features=1500)  # Debian's build matches slowly
    metrics, _ = place(resized, tmp_path / "out", backend="PROGRAM", features=few)
    assert metrics["sfm"] == "colmap program" and by_package["sfm"] == "pycolmap"
    assert metrics["registered"] == 6
    assert metrics["reprojection_error_px"] < 0.8
    assert metrics["points"] > 300


def test_camera_files_agree_with_each_other(registered: tuple[Path, Path, Any]) -> None:
    _, out, _ = registered
    model = pycolmap.Reconstruction(out / "sparse" / "model")
    for camera in json.loads((out / "sparse" / "cameras.json").read_text())["images"]:
        pose = np.array(camera["cam_from_world"])
        np.testing.assert_allclose(-pose[:, :3].T @ pose[:, 3], camera["center"], atol=1e-9)
    assert {model.image(i).name for i in model.reg_image_ids()} == {
        f"{i:05d}.jpg" for i in range(6)
    }


def test_undistorted_model_still_projects_onto_its_features(
    registered: tuple[Path, Path, Any], tmp_path: Path
) -> None:
    resized, out, metrics = registered
    figures = undistort_photos(
        out / "sparse" / "model",
        resized / "images",
        tmp_path,
        UndistortOptions(),
        threads=2,
        events=Events(io.StringIO()),
    )
    model = pycolmap.Reconstruction(tmp_path / "model")
    assert figures["photos"] == 6
    assert model.num_points3D() == metrics["points"]
    assert model.compute_mean_reprojection_error() == pytest.approx(
        metrics["reprojection_error_px"], rel=0.1
    )
    for camera in model.cameras.values():
        assert camera.model == pycolmap.CameraModelId.PINHOLE
        assert camera.params[0] == camera.params[1]
        for image_id in model.reg_image_ids():
            picture = cv2.imread(str(tmp_path / "images" / model.image(image_id).name))
            assert picture.shape[:2] == (camera.height, camera.width)


def test_same_input_gives_the_same_cameras(
    registered: tuple[Path, Path, Any], tmp_path: Path
) -> None:
    resized, out, _ = registered
    place(resized, tmp_path / "again")
    first, second = (
        json.loads((folder / "sparse" / "cameras.json").read_text())["images"]
        for folder in (out, tmp_path / "again")
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a["center"], b["center"])


def test_copies_of_one_photo_have_no_parallax(tmp_path: Path) -> None:
    picture = photograph(centers_of(6)[2], 10)
    with pytest.raises(DoNotFitError, match="no parallax"):
        place(make_set(tmp_path / "resize", [picture] * 5), tmp_path / "out", escalate=True)


def test_black_photos_are_named_as_such(tmp_path: Path) -> None:
    black = np.zeros((HEIGHT, WIDTH), np.uint8)
    with pytest.raises(PhotosError, match="black"):
        place(make_set(tmp_path / "resize", [black] * 4), tmp_path / "out")


def test_masks_that_hide_the_subject_are_to_blame_and_not_the_photos(tmp_path: Path) -> None:
    resized = make_set(tmp_path / "resize", [photograph(center, 10) for center in centers_of(4)])
    keyhole = np.zeros((HEIGHT, WIDTH), bool)
    keyhole[HEIGHT // 2 : HEIGHT // 2 + 8, WIDTH // 2 : WIDTH // 2 + 8] = True
    for number in range(4):
        write_mask(resized / "images" / f"{number:05d}.jpg", keyhole)
    with pytest.raises(
        PhotosError, match="the masks leave hardly any features in 4 of 4"
    ) as caught:
        place(resized, tmp_path / "out")
    assert "black pixels are ignored" in caught.value.hint


def test_two_subjects_keep_the_larger_and_name_the_rest(tmp_path: Path) -> None:
    pictures = [photograph(c, 10) for c in centers_of(5)]
    pictures += [photograph(c, 90) for c in centers_of(3)]
    metrics, events = place(make_set(tmp_path / "resize", pictures), tmp_path / "out")
    assert metrics["registered"] == 5
    assert metrics["unregistered"] == [f"photo {i}.JPG" for i in (5, 6, 7)]
    assert "3 of 8 photos could not be registered" in events
