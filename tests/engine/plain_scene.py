"""Rectangles, textured or plain, seen by pinhole cameras: photos, truth, and what stereo measures.

Stereo itself is left out: depth is the true one where there is texture and unknown where there is
none, so that tests of what is made of it are quick and know what to expect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from tests.engine.plane_scene import FOCAL, HEIGHT, WIDTH

from insaat_cli.engine.scene.views import View
from insaat_cli.engine.stereo.depth_map_files import NORMAL_SCALE, DepthMap

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.bool_]
Part = Callable[[Array, Array], Pixels]
TEXELS = 512


def everywhere(a: Array, b: Array) -> Pixels:
    return np.ones(a.shape, bool)


def nowhere(a: Array, b: Array) -> Pixels:
    return np.zeros(a.shape, bool)


def border(width: float) -> Part:
    """A frame: what is within `width` of the end of a rectangle that goes from -1 to 1."""
    return lambda a, b: np.maximum(np.abs(a), np.abs(b)) > 1 - width


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A rectangle: its middle, two half sides, color, and which part of it has texture or is cut
    out."""

    middle: tuple[float, float, float]
    right: tuple[float, float, float]
    up: tuple[float, float, float]
    color: tuple[int, int, int]
    textured: Part = everywhere
    cut: Part = nowhere


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One view: its photo, true depth (0: nothing), what stereo measures, which sheet is where."""

    view: View
    rgb: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.float32]
    measured: DepthMap
    sheet: npt.NDArray[np.int64]


def shoot(view: View, sheets: Sequence[Sheet], background: tuple[int, int, int]) -> Shot:
    """What `view` sees of the sheets before a plain background at no depth."""
    v, u = np.mgrid[: view.height, : view.width]
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(view.K).T @ view.R
    depth = np.full(u.shape, np.inf)
    rgb = np.empty((*u.shape, 3))
    rgb[:] = background
    textured, which = np.zeros(u.shape, bool), np.full(u.shape, -1)
    normals = np.zeros((*u.shape, 3))
    for number, sheet in enumerate(sheets):
        right, up, middle = (np.array(x, float) for x in (sheet.right, sheet.up, sheet.middle))
        normal = np.cross(right, up)
        normal /= np.linalg.norm(normal)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = ((middle - view.center) @ normal) / (rays @ normal)
            local = view.center + rays * t[..., None] - middle
        a, b = local @ right / (right @ right), local @ up / (up @ up)
        hit = (t > 0.05) & (t < depth) & (np.abs(a) < 1) & (np.abs(b) < 1) & ~sheet.cut(a, b)
        depth[hit], which[hit] = t[hit], number
        normals[hit] = -np.sign((view.center - middle) @ normal) * -(view.R @ normal)
        has = sheet.textured(a, b)
        textured[hit] = has[hit]
        noise = _texture(number)
        row = np.clip((b + 1) / 2 * TEXELS, 0, TEXELS - 1)
        column = np.clip((a + 1) / 2 * TEXELS, 0, TEXELS - 1)
        shade = cv2.remap(
            noise, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR
        )
        rgb[hit] = np.array(sheet.color) + (np.where(has, shade, 0)[hit])[:, None]
    truth = np.where(np.isfinite(depth), depth, 0).astype(np.float32)
    known = textured & (truth > 0)
    return Shot(
        view=view,
        rgb=np.clip(np.rint(rgb), 0, 255).astype(np.uint8),
        truth=truth,
        measured=DepthMap(
            depth=np.where(known, truth, 0).astype(np.float32),
            normals=np.rint(normals * NORMAL_SCALE).astype(np.int8),
            confidence=np.where(known, 255, 0).astype(np.uint8),
        ),
        sheet=which,
    )


def _texture(seed: int) -> npt.NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=(TEXELS, TEXELS)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.5), np.float32)
    return np.asarray(25 * smooth / smooth.std(), np.float32)


def upright_camera(center: tuple[float, float, float], aim: tuple[float, float, float]) -> View:
    """A camera at `center` that looks at `aim`, with the world's y up in its photo."""
    z = np.subtract(aim, center)
    z /= np.linalg.norm(z)
    x = np.cross(z, [0.0, 1.0, 0.0])
    x /= np.linalg.norm(x)
    R = np.array([x, np.cross(z, x), z])
    K = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
    pose = np.concatenate([R, (-R @ np.array(center))[:, None]], 1)
    return View(name="plain.png", width=WIDTH, height=HEIGHT, K=K, cam_from_world=pose)


def row_of_cameras(height: float, distance: float, aim: tuple[float, float, float]) -> list[View]:
    """Four cameras beside each other at `height`, `distance` before the origin."""
    return [upright_camera((x, height, -distance), aim) for x in (-0.6, -0.2, 0.2, 0.6)]
