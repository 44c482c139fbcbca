"""Software pictures of a textured mesh."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insaat_cli.engine.render.preview import four_sides, framing_camera, render, surface_points
from insaat_cli.engine.scene.optical_axes import Focus
from insaat_cli.mesh_io.textured_mesh import TexturedMesh

K = np.array([[200.0, 0, 80], [0, 200, 60], [0, 0, 1]])


def _square() -> TexturedMesh:
    """A square in z = 5 whose texture rises from left to right in red and downwards in green."""
    ramp = np.linspace(0, 255, 256)
    texture = np.zeros((256, 256, 3), np.uint8)
    texture[..., 0], texture[..., 1] = ramp[None, :], ramp[:, None]
    corners = np.array([[-1.0, -1, 4], [1, -1, 7], [1, 1, 7], [-1, 1, 4]])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return TexturedMesh(
        vertices=corners.astype(np.float32),
        uv=uv.astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        texture=texture,
    )


def test_texture_coordinates_are_perspective_correct() -> None:
    picture = render(_square(), np.eye(3, 4), K, 160, 120, threads=1)
    x, y = np.meshgrid(np.arange(160) + 0.5, np.arange(120) + 0.5)
    rx, ry = (x - 80) / 200, (y - 60) / 200
    z = 5.5 / (1 - 1.5 * rx)  # the plane z = 5.5 + 1.5 x
    u, v = (rx * z + 1) / 2, (ry * z + 1) / 2
    inside = (u > 0.02) & (u < 0.98) & (v > 0.02) & (v < 0.98)
    assert inside.sum() > 2000
    expected = 255 * np.stack([u, v], axis=-1)[inside]
    assert np.abs(picture[inside][:, :2] - expected).max() < 4


@pytest.mark.parametrize("direction", [[0.0, 0, 1], [1.0, 0.3, 0], [-0.5, 0.2, -0.8]])
def test_the_whole_subject_is_in_the_frame_and_fills_it(direction: list[float]) -> None:
    box = trimesh.creation.icosphere(subdivisions=4)
    box.vertices *= [3.0, 1.0, 0.6]
    mesh = TexturedMesh(
        vertices=np.asarray(np.add(box.vertices, [7, 2, -4]), np.float32),
        uv=np.full((len(box.vertices), 2), 0.5, np.float32),
        faces=np.asarray(box.faces, np.int32),
        texture=np.full((4, 4, 3), (250, 0, 0), np.uint8),
    )
    camera = framing_camera(surface_points(mesh), np.array(direction), K, 160, 120)
    picture = render(mesh, camera, K, 160, 120, threads=1)
    drawn = (picture[..., 0] > 240) & (picture[..., 1] < 20)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    assert rows[0] > 0
    assert rows[-1] < 119
    assert columns[0] > 0
    assert columns[-1] < 159
    assert max(np.ptp(rows) / 120, np.ptp(columns) / 160) > 0.75
    assert not drawn[:1].any()


def test_four_pictures_two_by_two() -> None:
    directions = [np.array([np.sin(a), 0.2, np.cos(a)]) for a in np.radians([0, 90, 180, 270])]
    picture = four_sides(_square(), directions, 160, 120, threads=1)
    assert picture.shape == (240, 320, 3)


def test_focus_fills_the_picture_with_the_subject_and_keeps_its_tip() -> None:
    """A thin red spike on a wide green ground, seen from the side."""
    ground = trimesh.creation.box((20, 0.01, 20)).subdivide_to_size(0.5)
    spike = trimesh.creation.box((1, 4, 1)).subdivide_to_size(0.5).apply_translation((0, 2, 0))
    both = trimesh.util.concatenate([ground, spike])
    green = np.arange(len(both.vertices)) < len(ground.vertices)
    mesh = TexturedMesh(
        vertices=np.array(both.vertices, np.float32),
        faces=np.array(both.faces, np.int32),
        uv=np.where(green[:, None], [0.25, 0.5], [0.75, 0.5]).astype(np.float32),
        texture=np.array([[[0, 200, 0], [200, 0, 0]]], np.uint8),
    )
    focus = Focus(centre=np.array([0.0, 2.0, 0.0]), radius=3.0)
    direction = np.array([0.0, 0.2, 1.0])
    tallest = {}
    for name, around in (("whole", None), ("focus", focus)):
        picture = four_sides(mesh, [direction] * 4, 160, 120, focus=around)[:120, :160]
        red = (picture[..., 0] > 100) & (picture[..., 1] < 100)
        rows = np.flatnonzero(red.any(axis=1))
        assert rows.min() > 0, "the tip is cut off"
        tallest[name] = len(rows)
    assert tallest["focus"] > 1.5 * tallest["whole"]
