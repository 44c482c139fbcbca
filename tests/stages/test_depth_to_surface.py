"""From photos of a plane to its mesh, through the three stages as the runner calls them."""

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.engine.plane_scene import SLANTED, plane_scene

from insaat_cli.engine.scene.region_of_interest import Box, Capture, Region
from insaat_cli.engine.scene.views import Scene, View
from insaat_cli.engine.stereo.depth_map_files import DepthMap, DepthView
from insaat_cli.engine.surface.mesh_cleaning import face_areas
from insaat_cli.engine.surface.photo_consistency import Witness
from insaat_cli.errors import DoNotFitError, StageError, UsageError
from insaat_cli.mesh_io.face_class import FaceClass
from insaat_cli.mesh_io.ply import read_classed_mesh, read_cloud, read_mesh, write_cloud
from insaat_cli.stages import dense
from insaat_cli.stages.dense import DenseOptions, make_depth_maps
from insaat_cli.stages.fuse import (
    FuseOptions,
    OutsideError,
    explain,
    fuse_depth_maps,
    parse_box,
    subject_pixel,
)
from insaat_cli.stages.surface import SurfaceOptions, at_lenses, build_surface, carved, evidence


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Photos on disk and a scene whose views bear their names."""
    folder = tmp_path_factory.mktemp("plane")
    scene, photos = plane_scene(SLANTED)
    views = []
    for index, (view, photo) in enumerate(zip(scene.views, photos, strict=True)):
        name = f"{index:05d}.png"
        cv2.imwrite(str(folder / name), photo)
        views.append(
            View(
                name=name,
                width=view.width,
                height=view.height,
                K=view.K,
                cam_from_world=view.cam_from_world,
            )
        )
    return folder, Scene(views=views, points=scene.points, seen=scene.seen)


@pytest.fixture(scope="module")
def meshed(work):
    folder, scene = work
    shares: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "load_scene", lambda model: scene)
        measured = make_depth_maps(
            folder, folder, folder / "depth", DenseOptions(), threads=2, progress=shares.append
        )
    fused = fuse_depth_maps(
        folder / "depth", folder, folder / "cloud.ply", FuseOptions(), threads=2
    )
    surface = build_surface(
        folder / "cloud.ply",
        folder / "depth",
        folder,
        folder / "mesh.ply",
        SurfaceOptions(),
        threads=2,
    )
    return folder, shares, measured, fused, surface


def test_every_photo_gets_a_depth_map_and_progress_is_told(meshed):
    folder, shares, measured, _, _ = meshed
    assert measured["depth_maps"] == 4
    assert measured["filled"] > 0.6
    assert shares == [0.25, 0.5, 0.75, 1.0]
    index = json.loads((folder / "depth" / "views.json").read_text())
    assert [view["name"] for view in index["views"]] == [f"{i:05d}.png" for i in range(4)]


def test_the_cloud_lies_on_the_plane_and_faces_the_cameras(meshed):
    folder, _, _, fused, _ = meshed
    cloud = read_cloud(folder / "cloud.ply")
    assert len(cloud.points) == fused["points"] > 5000
    off = np.abs(cloud.points @ SLANTED)
    assert np.median(off) < 0.004
    assert np.mean(off < 0.03) > 0.99
    assert np.median(cloud.normals @ SLANTED) > 0.98


def test_the_mesh_is_one_piece_on_the_plane(meshed):
    folder, _, _, _, surface = meshed
    vertices, faces = read_mesh(folder / "mesh.ply")
    assert len(faces) == surface["faces"] > 50
    assert surface["components"] == 1
    assert np.percentile(np.abs(vertices @ SLANTED), 95) < 0.02
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    assert np.mean(normal @ SLANTED > 0) > 0.98


def _meshed_again(folder, cloud, output, options=None):
    write_cloud(output / "cloud.ply", cloud)
    metrics = build_surface(
        output / "cloud.ply",
        folder / "depth",
        folder,
        output / "mesh.ply",
        options or SurfaceOptions(),
        threads=2,
    )
    return metrics, *read_mesh(output / "mesh.ply")


def test_noise_makes_the_grid_coarser_and_not_the_faces_more(meshed, tmp_path):
    folder, _, _, fused, surface = meshed
    cloud = read_cloud(folder / "cloud.ply")
    off = np.random.default_rng(1).normal(0, 2 * fused["spacing"], (len(cloud.points), 1))
    noisy = replace(cloud, points=(cloud.points + off * SLANTED).astype(np.float32))
    metrics, vertices, faces = _meshed_again(folder, noisy, tmp_path)
    assert metrics["cell"] > 3 * surface["cell"]
    assert metrics["faces"] < 2 * surface["faces"]
    # One sheet, and not several of them side by side: the plane's own area.
    assert face_areas(vertices, faces).sum() < 1.25 * surface_area(folder / "mesh.ply")


def surface_area(path):
    return face_areas(*read_mesh(path)).sum()


@pytest.mark.parametrize("most", [150, 600])
def test_a_mesh_has_no_more_faces_than_asked_for(meshed, tmp_path, most):
    folder, _, _, _, _ = meshed
    cloud = read_cloud(folder / "cloud.ply")
    options = SurfaceOptions(max_faces=most, flat_levels=0)
    metrics, vertices, faces = _meshed_again(folder, cloud, tmp_path, options)
    assert 0.3 * most < len(faces) == metrics["faces"] <= most
    assert np.percentile(np.abs(vertices @ SLANTED), 95) < 0.02
    assert face_areas(vertices, faces).sum() > 0.9 * surface_area(folder / "mesh.ply")
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    facing = np.cross(b - a, c - a) @ SLANTED  # by area: at the ragged border are small folds
    assert facing[facing > 0].sum() > 0.98 * np.abs(facing).sum()


def test_threads_do_not_change_the_depth(work, tmp_path):
    folder, scene = work
    depths = []
    for threads in (1, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dense, "load_scene", lambda model: scene)
            output = tmp_path / str(threads)
            make_depth_maps(folder, folder, output, DenseOptions(max_side=120), threads=threads)
        with np.load(output / "00002.npz") as data:
            depths.append(data["depth"])
    assert np.array_equal(*depths)


def test_photos_without_shared_points_are_an_expected_fault(work, tmp_path, monkeypatch):
    folder, scene = work
    lone = Scene(views=scene.views[:2], points=scene.points, seen=[np.arange(3), np.arange(3, 6)])
    monkeypatch.setattr(dense, "load_scene", lambda model: lone)
    with pytest.raises(DoNotFitError, match="no two photos"):
        make_depth_maps(folder, folder, tmp_path, DenseOptions())


def test_a_far_background_leaves_the_spacing_of_the_subject():
    view = View(
        name="0.png",
        width=100,
        height=100,
        K=np.diag([100.0, 100.0, 1.0]),
        cam_from_world=np.column_stack([np.eye(3), [0.0, 0.0, 2.0]]),
    )
    box = Box(low=(-1.0, -1.0, -1.0), high=(1.0, 1.0, 1.0))

    def side(far):
        return subject_pixel([DepthView(view=view, file="", neighbours=(), near=1.0, far=far)], box)

    assert side(4.0) == pytest.approx(0.019)
    assert side(6.0) == side(100.0) == pytest.approx(0.025)


def test_only_what_is_in_the_box_is_fused(meshed, tmp_path):
    folder, _, _, fused, _ = meshed
    everything = read_cloud(folder / "cloud.ply").points
    middle = np.median(everything, axis=0)
    reach = np.array([0.4, 9.0, 9.0])
    box = Box(low=tuple(middle - reach), high=tuple(middle + reach))
    cut = fuse_depth_maps(
        folder / "depth", folder, tmp_path / "cloud.ply", FuseOptions(), box=box, threads=2
    )
    points = read_cloud(tmp_path / "cloud.ply").points
    assert 0 < len(points) == cut["points"] < fused["points"]
    assert np.abs(points[:, 0] - middle[0]).max() < 0.45
    assert cut["outside_roi_share"] > 0


def test_a_box_away_from_the_subject_is_to_blame_and_not_the_photos(work, meshed, tmp_path):
    folder, *_ = meshed
    _, scene = work
    away = Box(low=(50.0, 0.0, 50.0), high=(51.0, 1.0, 51.0))
    with pytest.raises(OutsideError) as caught:
        fuse_depth_maps(
            folder / "depth", folder, tmp_path / "cloud.ply", FuseOptions(), box=away, threads=2
        )
    told = explain(caught.value, Region(capture=None, box=away), scene)
    assert isinstance(told, UsageError)
    assert re.match(r"only 0 of [\d,]+ measured points lie in ", told.message)
    assert told.message.endswith(" 50.000,0.000,50.000,51.000,1.000,51.000")
    assert "Y up" in told.hint
    box = parse_box(re.search(r"--roi (\S+)", told.hint)[1])
    assert box.holds(scene.points).mean() > 0.95
    kept = fuse_depth_maps(
        folder / "depth", folder, tmp_path / "cloud.ply", FuseOptions(), box=box, threads=2
    )
    assert kept["points"] > 1000, "what is advised keeps the subject"
    found = explain(caught.value, Region(capture=Capture.ORBIT, box=away), scene)
    assert isinstance(found, StageError), "nobody has used it wrongly"
    assert "--roi off" in found.hint


def test_a_surface_that_all_photos_contradict_is_an_error():
    vertices = np.array([[-1, -1, 3], [1, -1, 3], [0, 1, 3]], np.float32)
    from_behind = np.array([[0, 1, 2]], np.int32)
    K = np.array([[30.0, 0, 20], [0, 30, 20], [0, 0, 1]])
    view = View(name="", width=40, height=40, K=K, cam_from_world=np.eye(3, 4))
    witness = Witness(
        view=view, depth=np.zeros((40, 40), np.float32), rgb=np.zeros((40, 40, 3), np.uint8)
    )
    seen_right = carved(
        vertices, from_behind[:, ::-1].copy(), [witness] * 2, 1.0, SurfaceOptions(), 1
    )
    assert len(seen_right[1]) == 1
    with pytest.raises(DoNotFitError, match="no surface"):
        carved(vertices, from_behind, [witness] * 2, 1.0, SurfaceOptions(), 1)


def test_a_hole_is_closed_and_marked_or_left_open_if_nothing_may_be_invented(meshed, tmp_path):
    folder, _, _, _, whole = meshed
    assert whole["measured_share"] > 0.97
    cloud = read_cloud(folder / "cloud.ply")
    middle = np.median(cloud.points, axis=0)
    off = np.linalg.norm(cloud.points - middle, axis=1)
    cell = whole["cell"]
    keep = off > 4.5 * cell
    holed = replace(cloud.only(keep), completed=off[keep] > 1)
    metrics, vertices, faces = _meshed_again(folder, holed, tmp_path)
    classes = read_classed_mesh(tmp_path / "mesh.ply")[2]
    away = np.linalg.norm(vertices[faces].mean(axis=1) - middle, axis=1)
    assert np.all(classes[away < 2 * cell] == FaceClass.CLOSED)
    assert np.any(away < 2 * cell)
    assert np.mean(classes[away > 1.1] == FaceClass.COMPLETED) > 0.95
    assert np.mean(classes[(away > 9 * cell) & (away < 0.9)] == FaceClass.MEASURED) > 0.99
    assert metrics["closed_share"] > 0
    assert metrics["completed_share"] > 0
    total = sum(metrics[f"{kind.name.lower()}_share"] for kind in FaceClass)
    assert total == pytest.approx(1, abs=1e-3)

    metrics, vertices, faces = _meshed_again(
        folder, holed, tmp_path, SurfaceOptions(close_levels=0)
    )
    away = np.linalg.norm(vertices[faces].mean(axis=1) - middle, axis=1)
    assert np.all(away > 2 * cell)
    assert metrics["closed_share"] == 0


def test_sky_is_evidence_and_what_was_completed_is_none():
    def of(**masks):
        depth = np.float32([[1, 2, 0]])
        return evidence(
            DepthMap(
                depth=depth,
                normals=np.zeros((1, 3, 3), np.int8),
                confidence=np.zeros((1, 3), np.uint8),
                **masks,
            )
        ).tolist()

    assert of() == [[1, 2, 0]]
    assert of(completed=np.array([[True, False, False]])) == [[0, 2, 0]]
    assert of(sky=np.array([[False, False, True]])) == [[1, 2, np.inf]]


def test_no_surface_is_built_at_a_lens():
    view = View(name="", width=100, height=80, K=np.eye(3), cam_from_world=np.eye(3, 4))
    other = replace(view, cam_from_world=np.column_stack([np.eye(3), [-5.0, 0, 0]]))
    entries = [
        DepthView(view=one, file="", neighbours=(), near=near, far=9.0)
        for one, near in ((view, 10.0), (other, 2.5))
    ]
    points = np.float32([[0, 0, 0.09], [0, -0.09, 0], [0, 0, 0.11], [5, 0, 0.02], [5, 0, 0.03]])
    assert at_lenses(points, entries, 1).tolist() == [True, True, False, True, False]
