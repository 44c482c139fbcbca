"""The smallest and the largest value of each number lead to a result, not to a crash.

Small scenes, one stage at a time; all stages on a rendered set: tests/faults/test_extremes.py.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.engine.plane_scene import SLANTED, plane_scene, texture
from tests.fakes.extremes import extremes

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.sfm.undistortion import pinhole_view
from insaat_cli.engine.sfm.working_photos import read_photos
from insaat_cli.errors import DoNotFitError
from insaat_cli.pipeline.stage_contract import Events, parse_options
from insaat_cli.stages import dense
from insaat_cli.stages.complete import CompleteOptions, complete_depth_maps
from insaat_cli.stages.dense import DenseOptions, make_depth_maps
from insaat_cli.stages.features import FeaturesOptions, find_features
from insaat_cli.stages.fuse import FuseOptions, fuse_depth_maps
from insaat_cli.stages.resize import ResizeOptions, resize_photos
from insaat_cli.stages.surface import SurfaceOptions, build_surface

FEW = {"coarse_sweeps": 1, "fine_sweeps": 1, "max_side": 100}


@pytest.mark.parametrize(("name", "value"), extremes("resize"))
def test_resize_and_features_of_its_photos(tmp_path: Path, name: str, value: int) -> None:
    entries = []
    for index, size in enumerate([(400, 300), (300, 200), (2000, 20)]):
        path = tmp_path / f"{index}.jpg"
        noise = np.random.default_rng(index).integers(0, 255, (*size[::-1], 3), np.uint8)
        Image.fromarray(noise).save(path)
        entries.append({"name": path.name, "path": str(path), "width": size[0], "height": size[1]})
    out = tmp_path / "out"
    out.mkdir()
    options = parse_options(ResizeOptions, {name: value})
    metrics = resize_photos(entries, out, options, threads=1, events=Events(io.StringIO()))
    assert metrics["photos"] == 3
    for picture in (out / "images").iterdir():
        assert cv2.imread(str(picture)) is not None


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "images").mkdir()
    entries = []
    for index in range(3):
        name = f"{index:05d}.png"
        picture = texture(index)[: 4 * 128, : 4 * 96]
        cv2.imwrite(str(folder / "images" / name), picture)
        height, width = picture.shape
        entries.append(
            {"name": name, "source": name, "width": width, "height": height, "focal_px": None,
             "camera": 0, "gps": None, "time": None}
        )  # fmt: skip
    (folder / "images.json").write_text(json.dumps({"images": entries}))
    return folder


@pytest.mark.parametrize(("name", "value"), extremes("features"))
def test_features(pictures: Path, tmp_path: Path, name: str, value: float) -> None:
    metrics = find_features(
        read_photos(pictures),
        pictures / "images",
        tmp_path / "database.db",
        parse_options(FeaturesOptions, {name: value}),
        threads=1,
        events=Events(io.StringIO()),
    )
    assert metrics["features_min"] > 0


@pytest.mark.parametrize("size", [(400, 300), (300, 20), (20, 300), (3, 3)])
def test_undistorted_sides_below_the_multiple_stay(size: tuple[int, int]) -> None:
    width, height = size
    camera = Camera(
        camera_id=1, model="PINHOLE", width=width, height=height,
        params=(300.0, 300.0, width / 2, height / 2),
    )  # fmt: skip
    for multiple in (1, 256):
        view = pinhole_view(camera, multiple)
        for side, before in ((view.width, width), (view.height, height)):
            assert side > 0
            assert side == before if before <= multiple else side % multiple == 0


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Photos of a plane with depth, cloud and mesh; `load_scene` gives its cameras."""
    folder = tmp_path_factory.mktemp("plane")
    scene, photos = plane_scene(SLANTED)
    views = [replace(view, name=f"{index}.png") for index, view in enumerate(scene.views)]
    scene = replace(scene, views=views)
    for view, photo in zip(views, photos, strict=True):
        cv2.imwrite(str(folder / view.name), photo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "load_scene", lambda model: scene)
        make_depth_maps(folder, folder, folder / "depth", parse_options(DenseOptions, FEW))
        fuse_depth_maps(folder / "depth", folder, folder / "cloud.ply", FuseOptions())
        yield folder


@pytest.mark.parametrize(("name", "value"), extremes("dense"))
def test_dense(plane: Path, tmp_path: Path, name: str, value: float) -> None:
    options = parse_options(DenseOptions, {**FEW, name: value})
    metrics = make_depth_maps(plane, plane, tmp_path / "depth", options)
    assert metrics["depth_maps"] == 4
    assert metrics["filled"] > 0


@pytest.mark.parametrize(("name", "value"), extremes("complete"))
def test_complete(plane: Path, tmp_path: Path, name: str, value: float) -> None:
    options = parse_options(CompleteOptions, {name: value})
    metrics = complete_depth_maps(plane / "depth", plane, tmp_path / "depth", options)
    assert metrics["sky"] == 0
    assert len(list((tmp_path / "depth").glob("*.npz"))) == 4


@pytest.mark.parametrize(("name", "value"), extremes("fuse"))
def test_fuse(plane: Path, tmp_path: Path, name: str, value: float) -> None:
    options = parse_options(FuseOptions, {name: value})
    try:
        metrics = fuse_depth_maps(plane / "depth", plane, tmp_path / "cloud.ply", options)
    except DoNotFitError as error:
        assert "hardly any depth" in error.message
    else:
        assert metrics["points"] > 0


@pytest.mark.parametrize(("name", "value"), extremes("surface"))
def test_surface(plane: Path, tmp_path: Path, name: str, value: float) -> None:
    options = parse_options(SurfaceOptions, {name: value})
    try:
        metrics = build_surface(
            plane / "cloud.ply", plane / "depth", plane, tmp_path / "mesh.ply", options
        )
    except DoNotFitError as error:
        assert "no surface" in error.message
    else:
        assert metrics["faces"] > 0
