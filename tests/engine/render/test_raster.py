"""The rasteriser against depths known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insaat_cli.engine.render.raster import rasterize

WIDTH, HEIGHT = 160, 120
K = np.array([[150.0, 0.0, 81.3], [0.0, 140.0, 58.9], [0.0, 0.0, 1.0]])


def _rays() -> np.ndarray:
    """(H, W, 3) ray through every pixel centre, with z = 1."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    return np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(K).T


@pytest.mark.parametrize("threads", [1, 3])
def test_depth_of_a_tilted_plane_is_exact(threads: int) -> None:
    normal, offset = np.array([0.3, -0.5, -1.0]), -4.0  # normal . p = offset
    corners = np.array([[x, y, 0.0] for x, y in [(-9, -9), (9, -9), (9, 9), (-9, 9)]])
    corners[:, 2] = (offset - corners[:, :2] @ normal[:2]) / normal[2]
    faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)

    raster = rasterize(corners, faces, K, WIDTH, HEIGHT, threads=threads)

    expected = offset / (_rays() @ normal)
    seen = raster.face >= 0
    assert seen.mean() > 0.95
    np.testing.assert_allclose(raster.depth[seen], expected[seen], rtol=1e-5)
    assert np.all(np.isinf(raster.depth[~seen]))


def test_depth_of_a_sphere_is_that_of_the_ray() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=6, radius=1.0)
    center = np.array([0.1, -0.05, 4.0])
    raster = rasterize(sphere.vertices + center, sphere.faces, K, WIDTH, HEIGHT)

    rays = _rays()
    a, b, c = (rays**2).sum(-1), rays @ center, center @ center - 1.0
    root = b**2 - a * c
    inside = root > 0.02 * b**2  # away from the silhouette, where the sphere's facets matter
    expected = (b - np.sqrt(np.maximum(root, 0))) / a
    assert np.all(raster.face[inside] >= 0)
    np.testing.assert_allclose(raster.depth[inside], expected[inside], atol=2e-3)
    assert np.all(raster.face[root < 0] == -1)


def test_barycentric_weights_give_back_the_point_on_the_ray() -> None:
    vertices = np.array([[-1.0, -1.0, 2.0], [3.0, -1.0, 9.0], [-0.5, 2.0, 4.0]])
    faces = np.array([[0, 1, 2]], dtype=np.int32)
    raster = rasterize(vertices, faces, K, WIDTH, HEIGHT, barycentric=True)

    seen = raster.face == 0
    assert raster.barycentric is not None
    w1, w2 = raster.barycentric[seen].astype(float).T
    points = np.stack([1 - w1 - w2, w1, w2], axis=-1) @ vertices
    np.testing.assert_allclose(points, _rays()[seen] * raster.depth[seen, None], atol=1e-4)


def test_no_pixel_falls_between_faces_and_the_nearer_face_wins() -> None:
    rng = np.random.default_rng(3)
    step = np.linspace(-6, 6, 30)
    x, y = np.meshgrid(step, step)
    jitter = rng.uniform(-0.15, 0.15, (2, *x.shape))
    vertices = np.stack([x + jitter[0], y + jitter[1], np.full_like(x, 5.0)], -1).reshape(-1, 3)
    corner = (np.arange(29)[:, None] * 30 + np.arange(29)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 31], -1),
            np.stack([corner, corner + 31, corner + 30], -1)[:, ::-1],  # wound the other way
        ]
    ).astype(np.int32)
    near_square = np.array([[-1.0, -1, 3], [1, -1, 3], [1, 1, 3], [-1, 1, 3]])
    extra = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32) + len(vertices)
    raster = rasterize(
        np.concatenate([vertices, near_square]), np.concatenate([faces, extra]), K, WIDTH, HEIGHT
    )

    assert np.all(raster.face >= 0)
    rays = _rays()
    covered = (np.abs(rays[..., 0]) < 0.33) & (np.abs(rays[..., 1]) < 0.33)
    assert np.all(raster.face[covered] >= len(faces))
    np.testing.assert_allclose(raster.depth[covered], 3.0, rtol=1e-6)


def test_a_ground_that_reaches_behind_the_camera_is_drawn_up_to_the_near_plane() -> None:
    ground = np.array([[-50.0, 1.0, -50.0], [50, 1, -50], [50, 1, 50], [-50, 1, 50]])
    faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    raster = rasterize(ground, faces, K, WIDTH, HEIGHT, near=2.5)

    depth = 1.0 / _rays()[..., 1]  # the ray reaches y = 1 there
    ahead = (depth > 2.6) & (depth < 49)
    assert ahead.any()
    np.testing.assert_allclose(raster.depth[ahead], depth[ahead], rtol=1e-4)
    assert np.all(raster.face[(depth < 2.4) | (depth > 51)] == -1)


def test_faces_behind_the_camera_or_seen_edge_on_are_not_drawn() -> None:
    vertices = np.array([[0.0, 0, -1], [1, 0, -1], [0, 1, -1], [0, 0, 1], [0, 0, 2], [0, 0, 3]])
    faces = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32)
    assert np.all(rasterize(vertices, faces, K, WIDTH, HEIGHT).face == -1)
