"""What the test scenes show: modelled subjects with a known surface, standing on z = 0, z up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from insaat_cli.scenes.meshing import gradient, mesh_of
from insaat_cli.scenes.solids import (
    Body,
    Part,
    Vector,
    body_of,
    box,
    cylinder,
    ellipsoid,
    round_cone,
    torus,
    tube,
)

GINGER: Vector = (0.80, 0.54, 0.33)
CREAM: Vector = (0.86, 0.80, 0.70)
DARK: Vector = (0.12, 0.10, 0.09)
EYE: Vector = (0.55, 0.66, 0.18)
PINK: Vector = (0.78, 0.50, 0.46)
RED: Vector = (0.66, 0.13, 0.12)
GOLD: Vector = (0.86, 0.66, 0.20)
STONE: Vector = (0.62, 0.60, 0.57)
CLAY: Vector = (0.70, 0.42, 0.29)
GLAZE: Vector = (0.33, 0.52, 0.55)
PLASTER: Vector = (0.84, 0.76, 0.60)
WOOD: Vector = (0.42, 0.30, 0.22)
PANE: Vector = (0.30, 0.35, 0.40)
TILE: Vector = (0.58, 0.30, 0.23)


class Subject(StrEnum):
    """The subjects that can be photographed."""

    STATUE = "statue"
    VASE = "vase"
    FACADE = "facade"
    ROOM = "room"
    """Seen from inside, in metres; `room.py` builds it."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A subject's solid and the box that holds it."""

    parts: Sequence[Part]
    lower: Vector
    upper: Vector
    cell: float
    """Size of the mesh's cells: the smallest detail."""
    relief: float
    """Height of the bumps of the skin."""
    relief_frequency: float

    def body(self, seed: int) -> Body:
        """The solid, with bumps that depend on `seed`."""
        return body_of(
            self.parts, relief=self.relief, relief_frequency=self.relief_frequency, seed=seed
        )


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Triangles of a subject with all that light and paint need to know."""

    vertices: NDArray[np.float64]
    """(n, 3) in the frame of the scene."""
    faces: NDArray[np.int32]
    """(m, 3), counter-clockwise from outside."""
    normals: NDArray[np.float64]
    """(n, 3), unit length."""
    paint: NDArray[np.float32]
    """(n, 4): tint RGB and strength of the stripes."""


def model_of(subject: Subject) -> Model:
    """The solid of `subject`."""
    return {Subject.STATUE: _statue, Subject.VASE: _vase, Subject.FACADE: _facade}[subject]()


def build_mesh(model: Model, body: Body) -> Mesh:
    """The triangles that are rendered, which are also the true surface."""
    lower, upper = np.array(model.lower), np.array(model.upper)
    vertices, faces = mesh_of(body.distance, lower, upper, model.cell)
    slope = gradient(body.distance, vertices, 0.4 * model.cell)
    normals = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    weights = body.nearness(vertices, 0.4 * model.cell)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    colors = np.array([[*part.tint, part.stripes] for part in model.parts])
    paint = (weights @ colors).astype(np.float32)
    return Mesh(vertices=vertices, faces=faces, normals=normals, paint=paint)


def _statue() -> Model:
    """A cat that sits on a round plinth and looks over its shoulder."""
    parts = [
        cylinder((0, 0, 0.03), 0.34, 0.10, rounding=0.012, tint=STONE),
        cylinder((0, 0, 0.10), 0.30, 0.06, rounding=0.010, tint=STONE),
        round_cone(
            (-0.07, 0, 0.27), (0.05, 0, 0.52), (0.165, 0.105), tint=GINGER, stripes=1, blend=0.01
        ),
        ellipsoid((0.09, 0, 0.43), (0.085, 0.095, 0.15), tint=CREAM, stripes=0.1, blend=0.05),
    ]
    for y in (-1.0, 1.0):
        hip, paw = (-0.04, 0.125 * y, 0.23), (0.185, 0.07 * y, 0.148)
        knee, ankle = (0.11, 0.062 * y, 0.40), (0.165, 0.068 * y, 0.16)
        parts += [
            ellipsoid(hip, (0.135, 0.07, 0.115), tint=GINGER, stripes=0.9, blend=0.04),
            round_cone(knee, ankle, (0.052, 0.036), tint=GINGER, stripes=0.6, blend=0.03),
            ellipsoid(paw, (0.058, 0.042, 0.03), tint=CREAM, blend=0.02),
            ellipsoid((0.08, 0.175 * y, 0.15), (0.085, 0.04, 0.032), tint=CREAM, blend=0.02),
        ]
    tail = [
        (-0.19, 0.02, 0.175), (-0.235, -0.06, 0.165), (-0.20, -0.165, 0.162),
        (-0.10, -0.232, 0.162), (0.02, -0.25, 0.168), (0.11, -0.225, 0.185), (0.155, -0.19, 0.23),
    ]  # fmt: skip
    radii = [0.042, 0.038, 0.036, 0.035, 0.034, 0.032, 0.024]
    parts += tube(tail, radii, tint=GINGER, stripes=1, blend=0.03)
    return Model(
        parts=[*parts, *_head((0.085, 0.015, 0.665), 0.55)],
        lower=(-0.40, -0.40, -0.05),
        upper=(0.42, 0.40, 0.92),
        cell=0.0055,
        relief=0.0045,
        relief_frequency=14.0,
    )


def _head(centre: Vector, turn: float) -> list[Part]:
    """The cat's head; its own frame has x forwards and y to the left."""
    cos, sin = math.cos(turn), math.sin(turn)

    def at(x: float, y: float, z: float) -> Vector:
        return (centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y, centre[2] + z)

    collar = (centre[0] - 0.02, centre[1] - 0.01, centre[2] - 0.10)
    parts = [
        torus(collar, (0.15, 0, 1), 0.088, 0.017, tint=RED, blend=0.006),
        ellipsoid(at(0.085, 0, -0.115), (0.024, 0.024, 0.024), tint=GOLD, blend=0.004),
        ellipsoid(centre, (0.112, 0.125, 0.105), turn=turn, tint=GINGER, stripes=0.5, blend=0.025),
        ellipsoid(at(0.085, 0, -0.035), (0.045, 0.055, 0.038), turn=turn, tint=CREAM, blend=0.025),
        ellipsoid(at(0.127, 0, -0.018), (0.011, 0.014, 0.009), turn=turn, tint=PINK, blend=0.004),
    ]
    for y in (-1.0, 1.0):
        ear, tip = at(0.0, 0.07 * y, 0.065), at(-0.005, 0.095 * y, 0.175)
        inside, eye = at(0.05, 0.092 * y, 0.12), at(0.091, 0.047 * y, 0.022)
        parts += [
            round_cone(ear, tip, (0.05, 0.012), tint=GINGER, stripes=0.5, blend=0.02),
            ellipsoid(inside, (0.03, 0.026, 0.045), turn=turn, tint=PINK, carve=True, blend=0.01),
            ellipsoid(eye, (0.02, 0.02, 0.024), turn=turn, tint=EYE, blend=0.003),
        ]
    return parts


def _vase() -> Model:
    """An amphora with two unequal handles; shares neither shape nor texture with the statue."""
    heights = [-0.12, 0.02, 0.05, 0.12, 0.25, 0.40, 0.52, 0.62, 0.70, 0.80, 0.84, 0.95]
    radii = [0.15, 0.15, 0.10, 0.12, 0.20, 0.235, 0.21, 0.13, 0.085, 0.08, 0.115, 0.125]
    wall: list[Vector] = [(0, 0, z) for z in heights]
    left: list[Vector] = [(0, 0.17, 0.55), (0, 0.25, 0.64), (0, 0.23, 0.76), (0, 0.08, 0.80)]
    right: list[Vector] = [(0, -0.16, 0.57), (0, -0.22, 0.62), (0, -0.19, 0.71), (0, -0.08, 0.72)]
    parts = [
        *tube(wall, radii, tint=CLAY, stripes=0.7),
        *tube(left, [0.028, 0.026, 0.024, 0.026], tint=GLAZE, blend=0.02),
        *tube(right, [0.026, 0.024, 0.022, 0.024], tint=GLAZE, blend=0.02),
        ellipsoid((0.21, 0.03, 0.40), (0.05, 0.07, 0.09), tint=GLAZE, blend=0.02),
        cylinder((0, 0, 1.00), 0.30, 0.26, tint=CLAY, carve=True),
        cylinder((0.01, 0, 0.88), 0.085, 0.16, tint=DARK, carve=True, blend=0.01),
        cylinder((0, 0, -0.20), 0.30, 0.36, tint=CLAY, carve=True),
    ]
    return Model(
        parts=parts,
        lower=(-0.32, -0.32, -0.05),
        upper=(0.34, 0.34, 0.95),
        cell=0.0055,
        relief=0.003,
        relief_frequency=19.0,
    )


def _facade() -> Model:
    """The front of a house, in the plane y = 0, looking towards -y."""
    parts = [
        box((0, 0.15, 0.50), (1.9, 0.30, 1.10), tint=PLASTER, stripes=0.15),
        box((0, 0.0, 0.06), (1.96, 0.06, 0.20), tint=STONE),
        box((0.02, 0.0, 0.545), (1.94, 0.05, 0.035), rounding=0.004, tint=STONE),
        box((0, 0.12, 1.06), (2.02, 0.40, 0.05), rounding=0.006, tint=STONE),
        box((0, 0.15, 1.11), (1.94, 0.28, 0.08), tint=TILE, stripes=0.4),
    ]
    rng = np.random.default_rng(77)
    for row, z in enumerate((0.34, 0.79)):
        for column in range(5):
            x = -0.74 + 0.37 * column + rng.uniform(-0.025, 0.025)
            if row == 1 or column != 2:
                parts += _window(x, z, 0.17, rng.uniform(0.22, 0.28))
    parts += [
        box((0.0, 0.0, 0.25), (0.22, 0.16, 0.50), tint=STONE, carve=True),
        box((0.0, 0.06, 0.25), (0.22, 0.04, 0.50), tint=WOOD, stripes=0.5),
        box((0.0, 0.035, 0.16), (0.03, 0.03, 0.22), tint=WOOD),
        box((0.0, -0.04, 0.015), (0.34, 0.16, 0.05), tint=STONE),
        ellipsoid((0.07, 0.03, 0.24), (0.014, 0.02, 0.014), tint=GOLD),
        round_cone((-0.93, -0.03, 0.0), (-0.93, -0.03, 1.03), (0.02, 0.02), tint=GLAZE),
    ]
    return Model(
        parts=parts,
        lower=(-1.06, -0.16, -0.07),
        upper=(1.06, 0.36, 1.20),
        cell=0.0085,
        relief=0.003,
        relief_frequency=16.0,
    )


def _window(x: float, z: float, width: float, height: float) -> list[Part]:
    sill = (x, -0.02, z - height / 2 - 0.035)
    return [
        box((x, -0.005, z), (width + 0.06, 0.035, height + 0.06), tint=STONE),
        box(sill, (width + 0.1, 0.09, 0.025), rounding=0.004, tint=STONE),
        box((x, 0.0, z), (width, 0.12, height), tint=PLASTER, carve=True),
        box((x, 0.055, z), (width, 0.03, height), tint=PANE, stripes=0.3),
        box((x, 0.03, z), (0.02, 0.04, height), tint=WOOD),
        box((x, 0.03, z + 0.03), (width, 0.04, 0.02), tint=WOOD),
    ]
