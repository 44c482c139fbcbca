"""Faces that photos contradict go; those they see from the front, or not at all, stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import trimesh

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.scene.views import View
from insaat_cli.engine.surface.photo_consistency import (
    Evidence,
    Witness,
    ask_photos,
    inconsistent,
    near_border,
    peeled,
)

SIDE = 120


def view_from(centre) -> View:
    """A camera at `centre` that looks at the origin, about 53 degrees wide."""
    forward = -np.asarray(centre, float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.3, 1.0, 0.2])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[SIDE, 0, SIDE / 2 - 0.5], [0, SIDE, SIDE / 2 - 0.5], [0, 0, 1.0]])
    pose = np.concatenate([R, -R @ np.asarray(centre, float)[:, None]], axis=1)
    return View(name="", width=SIDE, height=SIDE, K=K, cam_from_world=pose)


def views() -> list[View]:
    return [view_from(c) for c in ([3, 0.5, 0.4], [-0.5, 3, 0.2], [0.3, 0.5, 3], [2, 2, 0.5])]


def depth_of(vertices, faces, view: View):
    """The true depth map, 0 where nothing is."""
    K = view.K.copy()
    K[:2, 2] += 0.5
    depth = rasterize(vertices @ view.R.T + view.t, faces, K, SIDE, SIDE).depth
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def contradicted(vertices, faces, maps):
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    witnesses = [Witness(view=view, depth=depth, rgb=grey) for view, depth in maps]
    return ask_photos(vertices, faces, witnesses).contradicted


def sphere() -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions=3)
    return mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)


def with_flake(*, outwards: bool) -> tuple[np.ndarray, np.ndarray]:
    """The sphere and, last, one face that floats above the point (1, 1, 0.3)."""
    vertices, faces = sphere()
    middle = np.array([1, 1, 0.3]) / np.linalg.norm([1, 1, 0.3])
    first = np.cross(middle, [0, 0, 1])
    second = np.cross(middle, first)
    flake = 1.15 * middle + 0.1 * np.array([first, second, -first - second])
    turn = [0, 1, 2] if outwards else [0, 2, 1]
    added = np.array([turn]) + len(vertices)
    return (
        np.concatenate([vertices, flake]).astype(np.float32),
        np.concatenate([faces, added]).astype(np.int32),
    )


def test_a_true_surface_stays() -> None:
    vertices, faces = sphere()
    maps = [(view, depth_of(vertices, faces, view)) for view in views()]
    assert not contradicted(vertices, faces, maps).any()


def test_a_flake_seen_from_behind_goes() -> None:
    vertices, faces = with_flake(outwards=False)
    unknown = np.zeros((SIDE, SIDE), np.float32)
    against = contradicted(vertices, faces, [(view, unknown) for view in views()])
    assert against[-1]
    assert against.sum() == 1


def test_a_flake_that_photos_look_through_goes() -> None:
    vertices, faces = with_flake(outwards=True)
    truth = sphere()
    maps = [(view, depth_of(*truth, view)) for view in views()]
    against = contradicted(vertices, faces, maps)
    assert against[-1]
    assert against.sum() == 1


def test_one_view_is_not_enough() -> None:
    vertices, faces = with_flake(outwards=False)
    unknown = np.zeros((SIDE, SIDE), np.float32)
    assert not contradicted(vertices, faces, [(view_from([2, 2, 0.5]), unknown)]).any()


def test_what_no_view_sees_stays() -> None:
    vertices, faces = sphere()
    inside_out = faces[:, ::-1].copy()
    unknown = np.zeros((SIDE, SIDE), np.float32)
    assert contradicted(vertices, inside_out, [(view, unknown) for view in views()]).any()
    away = [(view_from([3, 0.5, 0.4]), unknown)] * 2
    hidden = vertices[inside_out].mean(axis=1) @ [3, 0.5, 0.4] < 0
    # From one side the near half of the sphere is all that is seen.
    assert not contradicted(vertices, inside_out, away)[hidden].any()


def test_a_fringe_shows_another_background_in_every_photo() -> None:
    vertices, faces = sphere()
    fringe = [[0.1, 1.2, -0.2], [0.1, 1.4, 0], [0.1, 1.2, 0.2]]
    vertices = np.concatenate([vertices, fringe]).astype(np.float32)
    both = np.concatenate([faces, [[len(vertices) - 3, len(vertices) - 2, len(vertices) - 1]]])
    truth = sphere()
    noise = np.random.default_rng(0)
    witnesses = []
    for number, view in enumerate([view_from([3, 0.3, 0.2]), view_from([3, -0.2, 0.5])]):
        body = depth_of(*truth, view) > 0
        # The body is red; what is behind it has another grey in every photo.
        rgb = np.where(body[..., None], [200, 60, 60], 40 + 50 * number)
        rgb = (rgb + noise.integers(0, 4, rgb.shape)).astype(np.uint8)
        unknown = np.zeros(body.shape, np.float32)
        witnesses.append(Witness(view=view, depth=unknown, rgb=rgb))
    said = ask_photos(vertices, both.astype(np.int32), witnesses)
    assert 22 < said.color_spread[-1] < 28
    assert np.flatnonzero(inconsistent(said)).tolist() == [len(faces)]


def test_peeling_starts_at_borders_and_ends_at_sound_faces() -> None:
    side = 8
    place = np.arange(side * side).reshape(side, side)
    a, b, c, d = place[:-1, :-1], place[:-1, 1:], place[1:, :-1], place[1:, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3)
    faces = faces.astype(np.int32)
    column = (faces % side).max(axis=1)
    row = (faces // side).max(axis=1)
    fringe = column <= 2
    island = (column == 5) & (row == 4)  # a window, away from the border
    keep = peeled(faces, fringe | island)
    assert not keep[fringe].any()
    assert keep[~fringe].all()
    assert peeled(faces, fringe, rings=1)[fringe].any()


def test_the_usual_spread_is_not_held_against_a_face() -> None:
    spread = np.full(50, 20, np.float32)
    spread[0] = 45
    nothing = np.zeros(50, np.float32)
    said = Evidence(
        contradicted=nothing > 0,
        hidden=nothing > 0,
        color_spread=spread,
        background_share=nothing.copy(),
    )
    assert not inconsistent(said).any()
    spread[0] = 70
    assert np.flatnonzero(inconsistent(said)).tolist() == [0]
    said.background_share[7] = 0.5
    assert np.flatnonzero(inconsistent(said)).tolist() == [0, 7]


def test_sky_speaks_against_what_stands_before_it() -> None:
    vertices, faces = with_flake(outwards=True)
    truth = sphere()
    maps = []
    for view in views():
        depth = depth_of(*truth, view)
        maps.append((view, np.where(depth > 0, depth, np.float32(np.inf))))
    against = contradicted(vertices, faces, maps)
    assert against[-1]
    assert against.sum() <= 1 + len(faces) // 20, "besides the flake only rims of the outline"


def test_a_face_at_the_lens_of_one_camera_goes() -> None:
    vertices, faces = sphere()
    view = views()[3]
    right, down, forward = view.R
    corners = view.center + 0.01 * (forward + np.array([right, down, -right - down]))
    added = np.concatenate([vertices, corners]).astype(np.float32)
    more = np.concatenate([faces, [np.arange(3) + len(vertices)]]).astype(np.int32)
    unknown = np.zeros((SIDE, SIDE), np.float32)
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for near, gone in ((0.0, False), (0.3, True)):
        witnesses = [Witness(view=one, depth=unknown, rgb=grey, near=near) for one in views()]
        said = ask_photos(added, more, witnesses).contradicted
        assert said[-1] == gone
        assert not said[:-1].any()


def test_fringes_are_as_wide_as_they_are_and_not_so_many_faces() -> None:
    x, y = np.meshgrid(np.arange(21.0), np.arange(21.0))
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1).astype(np.float32)
    at = np.arange(20)[:, None] * 21 + np.arange(20)
    corners = at.ravel()[:, None] + np.array([[0, 1, 21], [1, 22, 21]])[:, None]
    faces = corners.reshape(-1, 3).astype(np.int32)
    near = near_border(vertices, faces, 3.0)
    middle = vertices[faces].mean(axis=1)
    from_edge = np.minimum(middle[:, :2], 20 - middle[:, :2]).min(axis=1)
    assert np.all(near[from_edge < 2.8])
    assert not near[from_edge > 3.1].any()
    closed_vertices, closed = sphere()
    assert not near_border(closed_vertices, closed, 9.0).any()


def test_a_layer_behind_another_is_hidden_from_all_photos() -> None:
    vertices, faces = sphere()
    both = np.concatenate([vertices, 0.95 * vertices]).astype(np.float32)
    more = np.concatenate([faces, faces + len(vertices)]).astype(np.int32)
    unknown = np.zeros((SIDE, SIDE), np.float32)
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    witnesses = [Witness(view=view, depth=unknown, rgb=grey) for view in views()]
    hidden = ask_photos(both, more, witnesses).hidden
    middles = vertices[faces].mean(axis=1)  # and the normals, too
    facing = np.any([middles @ view.center > 1.2 for view in views()], axis=0)
    assert np.mean(hidden[len(faces) :]) > 0.95, "but for the rim"
    assert not hidden[: len(faces)][facing].any()
    assert np.count_nonzero(facing) > 100
    away = [replace(one, view=view_from([30, 1, 1])) for one in witnesses[:1]]
    beside = both + np.float32([0, 0, 100])
    assert not ask_photos(beside, more, away).hidden.any(), "outside of a photo is not hidden"
