"""Faces that photos contradict go; those they see from the front, or not at all, stay."""

from __future__ import annotations

import numpy as np
import trimesh

from insaat_cli.engine.contradiction import contradicted
from insaat_cli.engine.raster import rasterize
from insaat_cli.engine.views import View

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
