"""A textured cube on nothing, photographed from known cameras, and helpers to aim them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from insaat_cli.engine.preview import render
from insaat_cli.engine.texture.photo import Photo
from insaat_cli.engine.textured_mesh import TexturedMesh

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
K = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])

TakePhoto = Callable[..., Photo]


def look_at(center: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 4) cam_from_world of a camera with Y up in the world."""
    forward = (target - center) / np.linalg.norm(target - center)
    up = np.array([0.0, 1, 0]) if abs(forward[1]) < 0.95 else np.array([0.0, 0, 1])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return np.column_stack([rotation, -rotation @ center])


def smooth_noise(size: int, seed: int, sigma: float) -> NDArray[np.uint8]:
    """(size, size, 3) random colours without detail finer than `sigma` pixels."""
    noise = np.random.default_rng(seed).normal(size=(size, size, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.clip(128 + 45 * noise / noise.std(), 5, 250).astype(np.uint8)


def square_grid(cells: int, half: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A square in the plane z = 0 that faces +z."""
    step = np.linspace(-half, half, cells + 1)
    x, y = np.meshgrid(step, step)
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    a = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    b, c, d = a + 1, a + cells + 2, a + cells + 1
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(
        np.int32
    )


def painted(vertices: NDArray[np.float64], faces: NDArray[np.int32], seed: int) -> TexturedMesh:
    """The mesh with a texture of its own: one square of a random image for every side it has."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    axis = np.argmax(np.abs(normal), axis=1)
    side = 2 * axis + (np.take_along_axis(normal, axis[:, None], 1)[:, 0] < 0)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    unit = (corners - low) / np.maximum(high - low, 1e-9)
    across = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    plane = np.take_along_axis(unit, across[:, None, :].repeat(3, axis=1), axis=2)
    tile = np.stack([side % 3, side // 3], axis=1)
    uv = (tile[:, None, :] + 0.05 + 0.9 * plane) / [3, 2]
    return TexturedMesh(
        vertices=corners.reshape(-1, 3).astype(np.float32),
        uv=uv.reshape(-1, 2).astype(np.float32),
        faces=np.arange(faces.size, dtype=np.int32).reshape(-1, 3),
        texture=smooth_noise(600, seed, 9.0),
    )


@pytest.fixture
def take_photo(tmp_path: Path) -> TakePhoto:
    """take_photo(mesh, center, target, change=...): render, let `change` edit the pixels, save."""
    taken: list[Photo] = []

    def take(
        mesh: TexturedMesh,
        center: list[float],
        target: tuple[float, float, float] = (0, 0, 0),
        change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    ) -> Photo:
        pose = look_at(np.array(center, float), np.array(target, float))
        pixels = render(mesh, pose, K, WIDTH, HEIGHT, threads=1)
        if change is not None:
            pixels = change(pixels)
        path = tmp_path / f"{len(taken):05d}.png"
        cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        photo = Photo(path=path, width=WIDTH, height=HEIGHT, K=K, cam_from_world=pose)
        taken.append(photo)
        return photo

    return take


@pytest.fixture
def cube() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A cube of side 2, each side cut into 512 triangles."""
    box = trimesh.creation.box(extents=(2, 2, 2))
    for _ in range(4):
        box = box.subdivide()
    return np.asarray(box.vertices, float), np.asarray(box.faces, np.int32)
