"""A box with a color a side, and a ring of cameras around it: every length and pose is known."""

from __future__ import annotations

import numpy as np
from PIL import Image

from insaat_cli.mesh_io.model import Model, Part

CAMERAS = 6
PHOTO_SIZE = (320, 240)
COLORS = [
    (220, 40, 40),
    (40, 200, 60),
    (50, 80, 230),
    (230, 200, 30),
    (200, 60, 220),
    (30, 200, 220),
]
SIDE = 2.0
"""Of the box, in model units."""


def textured_box() -> Model:
    """A box of side 2 on the ground; each face shows one color of the texture."""
    vertices, faces, uv = [], [], []
    for side, (axis, sign) in enumerate((a, s) for a in range(3) for s in (1.0, -1.0)):
        first, second = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
        out = sign * np.eye(3)[axis]
        at = len(vertices)
        for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            vertices.append(out + sign * u * first + v * second + [0, 1, 0])
            uv.append([(side + 0.5 + 0.4 * u) / 6, 0.5 + 0.4 * v])
        faces += [[at, at + 1, at + 2], [at, at + 2, at + 3]]
    pixels = np.zeros((32, 192, 3), np.uint8)
    for side, color in enumerate(COLORS):
        pixels[:, side * 32 : side * 32 + 32] = color
    pixels[8:24:4] //= 2
    part = Part(
        vertices=np.array(vertices) * SIDE / 2,
        faces=np.array(faces),
        uv=np.array(uv),
        texture=Image.fromarray(pixels),
    )
    return Model(parts=(part,))


def orbit_camera(number: int) -> dict[str, object]:
    """A camera on a ring around the box, looking at its middle."""
    angle = 2 * np.pi * number / CAMERAS
    center = np.array([4 * np.sin(angle), 2.5, 4 * np.cos(angle)])
    forward = np.array([0, 1, 0]) - center
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    width, height = PHOTO_SIZE
    return {
        "name": f"<b>shot</b> {number}.jpg",
        "width": width,
        "height": height,
        "K": [[300, 0, width / 2], [0, 300, height / 2], [0, 0, 1]],
        "cam_from_world": np.c_[rotation, -rotation @ center].tolist(),
        "center": center.tolist(),
    }
