"""Facts whose truth is known: a cube seen from one side, photos with known faults, a database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import trimesh

from insaat_cli.engine.colmap.database import PAIR_BASE
from insaat_cli.engine.render.coverage import (
    COLORS,
    Surface,
    coarse_surface,
    color_of,
    count_photos,
    draw_sides,
    photos_looked_through,
)
from insaat_cli.engine.scene.optical_axes import Focus
from insaat_cli.engine.scene.views import View
from insaat_cli.external.verified_pairs import verified_pairs
from insaat_cli.inspection.model_advice import advise
from insaat_cli.inspection.photo_facts import NEIGHBOURS_KEPT, PhotoFacts, Registration, calibration
from insaat_cli.inspection.photo_quality import Tone
from insaat_cli.inspection.sparse_model import SparseFacts, plan_of
from insaat_cli.inspection.surface_coverage import Side, coverage_of, front_of, widest_gap
from insaat_cli.mesh_io.face_class import FaceClass

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
SQUARES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
CUBE_FACES = np.array([t for a, b, c, d in SQUARES for t in ((a, b, c), (a, c, d))], np.int32)
FOCUS = Focus(centre=np.zeros(3), radius=3.0)


def looking_at_origin(center: tuple[float, float, float]) -> View:
    at = np.array(center, float)
    forward = -at / np.linalg.norm(at)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[400.0, 0, 319.5], [0, 400, 239.5], [0, 0, 1]])
    pose = np.c_[rotation, -rotation @ at]
    return View(name="", width=640, height=480, K=K, cam_from_world=pose)


def photo(name: str, *, sharpness: float = 0.3, error_px: float = 0.4, points: int = 500,
          registered: bool = True, matched: bool = True) -> PhotoFacts:  # fmt: skip
    return PhotoFacts(
        name=name,
        tone=Tone(sharpness=sharpness, blown=0.0, black=0.0, brightness_stops=-2.0),
        registered=Registration(points=points, track_length=4, error_px=error_px)
        if registered
        else None,
        matches={"other.jpg": 80} if matched else {},
    )


def test_sides_of_a_cube_count_who_sees_them() -> None:
    cube = Surface.of(CUBE, CUBE_FACES)
    views = [looking_at_origin((0.3 * i, 0.2, 5)) for i in range(-1, 2)]
    views += [looking_at_origin((5, 0.2, 0))]
    counts = count_photos(cube, views, threads=2)
    along_z, along_x = cube.normals[:, 2], cube.normals[:, 0]
    front, right = cube.middles[:, 2] > 0.9, cube.middles[:, 0] > 0.9
    assert np.all(np.abs(along_z[front]) > 0.9) and np.all(np.abs(along_x[right]) > 0.9)
    assert counts[front].tolist() == [3, 3]
    assert counts[right].tolist() == [1, 1]
    assert counts[~front & ~right].tolist() == [0] * 8, "hidden, or seen at a grazing angle"

    found = coverage_of(cube, counts, front=0.0, photos=4, focus=FOCUS)
    assert found.seen_by["3-4"] == pytest.approx(1 / 6)
    assert found.seen_by["1"] == pytest.approx(1 / 6)
    assert found.few == pytest.approx(5 / 6)
    assert found.few_of[Side.FRONT] == 0 and found.few_of[Side.LEFT] == 1
    turned = coverage_of(cube, counts, front=np.pi / 2, photos=4, focus=FOCUS)
    assert turned.few_of[Side.LEFT] == 0, "seen from +x, what looks along +z lies to the left"
    lying = coverage_of(cube, counts, front=0.0, photos=4, focus=None)
    assert set(lying.few_of) <= {Side.LEFT, Side.MIDDLE, Side.RIGHT}


def test_picture_shows_the_colors_of_the_counts() -> None:
    cube = Surface.of(CUBE, CUBE_FACES)
    colors = color_of(np.where(cube.middles[:, 2] > 0.9, 12, 0))
    assert colors[cube.middles[:, 2] > 0.9].tolist() == [COLORS[5].tolist()] * 2
    ways = [np.array([0, 0, 1.0]), np.array([0, 0, -1.0])]
    picture = draw_sides(cube, colors, ways, 80, 60, threads=1)
    assert picture.shape == (60, 160, 3)
    assert picture[30, 40].tolist() == pytest.approx(COLORS[5].tolist(), abs=2)
    assert picture[30, 120].tolist() == pytest.approx(COLORS[0].tolist(), abs=2)


def test_large_mesh_is_made_coarse_and_keeps_its_shape() -> None:
    ball = trimesh.creation.icosphere(subdivisions=7)
    vertices, faces = ball.vertices.astype(np.float32), ball.faces.astype(np.int32)
    coarse = coarse_surface(vertices, faces, focus=None)
    assert 15_000 < len(coarse.faces) < 80_000 < len(faces)
    assert coarse.areas.sum() == pytest.approx(4 * np.pi, rel=0.01)
    assert np.linalg.norm(coarse.middles, axis=1) == pytest.approx(1, abs=0.02)
    assert len(coarse_surface(CUBE, CUBE_FACES, focus=FOCUS).faces) == 12


def test_very_many_photos_of_a_large_mesh_are_thinned_evenly() -> None:
    views = [looking_at_origin((0.1 * i, 0, 5)) for i in range(1, 201)]
    assert len(photos_looked_through(views, 12)) == 200
    chosen = photos_looked_through(views, 1_000_000)
    assert len(chosen) == 30 and chosen[0] is views[0] and chosen[-1] is views[-1]


def test_missing_side_is_named_as_the_first_picture_shows_it() -> None:
    angles = np.radians(np.arange(-160, 61, 20))  # nothing from 60 to 200 degrees
    centers = np.stack([5 * np.sin(angles), 0 * angles, 5 * np.cos(angles)], axis=1)
    gap = widest_gap(centers, np.zeros(3), front_of(centers))
    assert gap.angle_deg == pytest.approx(140, abs=0.1)
    assert gap.side is Side.BACK
    assert {gap.before, gap.after} == {0, len(centers) - 1}
    photos = [photo(f"{i}.jpg") for i in range(len(centers))]
    (said,) = advise(photos, gap=gap)
    assert said.kind == "gap" and "add photos of the back side" in said.text
    assert said.photos == ("0.jpg", "11.jpg")


def test_each_fault_is_said_and_a_good_set_gets_no_advice() -> None:
    good = [photo(f"{i}.jpg") for i in range(8)]
    assert advise(good) == []
    blurred = [*good, photo("blurred.jpg", sharpness=0.06)]
    assert [(one.kind, one.photos) for one in advise(blurred)] == [("blur", ("blurred.jpg",))]
    for other, kind in (
        (photo("alone.jpg", registered=False, matched=False), "unmatched"),
        (photo("off.jpg", registered=False), "not_registered"),
        (photo("weak.jpg", points=20), "few_points"),
        (photo("moved.jpg", error_px=3.0), "rough_fit"),
    ):
        found = advise([*good, other])
        assert [(one.kind, one.photos) for one in found] == [(kind, (other.name,))]


def test_unseen_side_is_asked_for() -> None:
    cube = Surface.of(CUBE, CUBE_FACES)
    counts = np.where(cube.middles[:, 0] < -0.9, 1, 6).astype(np.int32)
    seen = coverage_of(cube, counts, front=0.0, photos=9, focus=FOCUS)
    (said,) = advise([photo(f"{i}.jpg") for i in range(4)], seen)
    assert said.kind == "coverage" and "add photos of the left" in said.text


def test_matches_come_from_colmaps_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "database.db") as database:
        database.execute("CREATE TABLE images (image_id INTEGER, name TEXT)")
        database.execute("CREATE TABLE two_view_geometries (pair_id INTEGER, rows INTEGER)")
        database.executemany("INSERT INTO images VALUES (?, ?)", [(1, "a"), (2, "b"), (9, "c")])
        rows = [(PAIR_BASE * 1 + 9, 71), (PAIR_BASE * 1 + 2, 0), (PAIR_BASE * 5 + 6, 3)]
        database.executemany("INSERT INTO two_view_geometries VALUES (?, ?)", rows)
    database.close()
    assert verified_pairs(tmp_path) == {("a", "c"): 71}


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_no_matches_where_nothing_can_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "database.db").write_bytes(content)
        (tmp_path / "matches.verified.bin").write_bytes(content)
    assert verified_pairs(tmp_path, tmp_path) == {}


def test_run_json_keeps_the_strongest_matches_alone() -> None:
    matches = {f"{i}.jpg": i for i in range(100)}
    kept = PhotoFacts(name="a", matches=matches).to_json()["matches"]
    assert list(kept) == [f"{i}.jpg" for i in range(99, 99 - NEIGHBOURS_KEPT, -1)]


def test_each_lens_stands_once_in_the_calibration() -> None:
    one = {"width": 40, "height": 30, "K": [[50, 0, 20], [0, 50, 15], [0, 0, 1]]}
    other = {**one, "distortion": {"model": "RADIAL", "params": {"k1": 0.1}}}
    found = calibration([one, other, one])
    assert [lens["photos"] for lens in found] == [2, 1]
    assert found[1]["distortion"] == {"k1": 0.1} and found[0]["focal_px"] == 50


def test_plan_puts_points_where_they_lie_from_above() -> None:
    facts = SparseFacts(
        registered={},
        shared={},
        points=np.array([[1.0, 0, 1.0], [-1.0, 5.0, 0]]),
        colors=np.array([[255, 0, 0], [0, 0, 255]], np.uint8),
    )
    plan = plan_of(facts, np.array([[0, 0, 4.0]]))
    assert plan.reach > 4
    for (x, z), color in (((1, 1), [255, 0, 0]), ((-1, 0), [0, 0, 255])):
        column, row = (int((v / plan.reach + 1) / 2 * 640) for v in (x, z))
        assert plan.pixels[row, column, :3].tolist() == color
    assert (plan.pixels[..., 3] > 0).sum() == 8


def test_what_was_not_measured_has_a_color_of_its_own() -> None:
    counts = np.array([0, 4, 4, 9], np.int32)
    plain = color_of(counts)
    classes = np.array([0, FaceClass.COMPLETED, FaceClass.MEASURED, FaceClass.CLOSED], np.uint8)
    colors = color_of(counts, classes)
    assert np.array_equal(colors[[0, 2]], plain[[0, 2]])
    assert len(np.unique(np.concatenate([colors[[1, 3]], COLORS]), axis=0)) == len(COLORS) + 2
