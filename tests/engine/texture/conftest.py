"""A textured cube on nothing, photographed from known cameras, and helpers to aim them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from insaat_cli.engine.render.preview import render
from insaat_cli.engine.texture.photo import Photo
from insaat_cli.mesh_io.textured_mesh import TexturedMesh

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
    """(size, size, 3) random colors without detail finer than `sigma` pixels."""
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
    """The mesh in random colors that run on across its edges, as real ones mostly do."""
    uv = vertices @ np.array([[0.15, -0.09], [0.08, 0.15], [0.11, 0.10]]) + 0.5
    return TexturedMesh(
        vertices=vertices.astype(np.float32),
        uv=uv.astype(np.float32),
        faces=faces,
        texture=smooth_noise(600, seed, 6.0),
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
