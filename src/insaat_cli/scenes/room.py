"""A furnished room seen from inside: white plaster, a wooden floor, a window without glass.

Metres, z up, the floor at z = 0. Surfaces are flat and exact, unlike the modelled subjects', whose
skin has bumps: it is the plainness of a room that makes it hard to reconstruct.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insaat_cli.scenes import furniture
from insaat_cli.scenes.furniture import WHITE, Material, Piece
from insaat_cli.scenes.meshing import gradient, mesh_of
from insaat_cli.scenes.room_light import Window, light_in_room
from insaat_cli.scenes.room_shading import paint_room
from insaat_cli.scenes.solids import Body, Kind, Part, Points, Vector, body_of, box
from insaat_cli.scenes.subjects import Mesh

HALF = (2.5, 2.0)
"""Half of the room's extent in x and y."""
HEIGHT = 2.6
REVEAL = 0.22
"""Depth of the window's reveal: the thickness of the wall."""
WINDOW = Window(x=(-0.2, 1.6), z=(0.90, 2.25), y=HALF[1] + REVEAL)
STEP = 0.07
"""Distance of the vertices that carry the light."""
ROUND_CELL = 0.015
"""Cells of the few rounded pieces."""
FLOOR_TINT: Vector = (0.66, 0.47, 0.31)
EXPOSURE = 0.50
"""Mean brightness that the camera's exposure aims at."""
EXPOSURE_SHARE = 0.45
"""How far it goes towards that."""


@dataclass(frozen=True, kw_only=True)
class RoomScene:
    """The room as `photograph` takes it."""

    mesh: Mesh
    """The fourth value of `paint` is the `Material`."""
    local: NDArray[np.float32]
    """(n, 3) place on the piece, in metres, its longest axis first: where the grain runs."""
    light: NDArray[np.float32]
    """(n,) brightness of the vertices."""
    contrast: float
    seed: int

    def colors(
        self,
        depth: NDArray[np.float32],
        face: NDArray[np.int32],
        weights: NDArray[np.float32],
        rays: NDArray[np.float64],
        centre: NDArray[np.float64],
        focal: float,
    ) -> NDArray[np.float32]:
        """Colors (H/2, W/2, 3) of a raster of twice the size, exposed as a phone would."""
        image: NDArray[np.float32] = paint_room(
            depth, face, weights, self.mesh.faces, self.mesh.paint, self.local, self.light,
            self.mesh.normals, rays, centre, focal, self.contrast, self.seed,
        )  # fmt: skip
        image *= (EXPOSURE / float(image.mean())) ** EXPOSURE_SHARE
        return np.asarray(1.0 - np.exp(-1.9 * image))


@dataclass(frozen=True, kw_only=True)
class _Patch:
    """Triangles of one surface."""

    vertices: Points
    faces: NDArray[np.int32]
    normals: Points
    local: Points
    tint: Vector
    material: Material


def build_room(*, contrast: float, seed: int, scene_seed: int) -> RoomScene:
    """The room; `seed` changes the books and, with `scene_seed`, all paint, not the shape."""
    pieces = list(_pieces(np.random.default_rng([seed, 7])))
    patches = [*_shell(), *(patch for piece in pieces for patch in _surfaces(piece))]
    starts = np.cumsum([0, *(len(patch.vertices) for patch in patches)])
    paint = [
        np.tile([*patch.tint, float(patch.material)], (len(patch.vertices), 1)) for patch in patches
    ]
    mesh = Mesh(
        vertices=np.concatenate([patch.vertices for patch in patches]),
        faces=np.concatenate(
            [patch.faces + start for patch, start in zip(patches, starts[:-1], strict=True)]
        ).astype(np.int32),
        normals=np.concatenate([patch.normals for patch in patches]),
        paint=np.concatenate(paint).astype(np.float32),
    )
    return RoomScene(
        mesh=mesh,
        local=np.concatenate([patch.local for patch in patches]).astype(np.float32),
        light=light_in_room(_shadows(pieces), WINDOW, mesh.vertices, mesh.normals),
        contrast=contrast,
        seed=scene_seed,
    )


def room_cameras(
    count: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Eyes and aims of a walk round along the walls, looking across and into the corners."""
    corners = np.array([[-1.75, -1.30], [1.45, -1.30], [1.45, 1.40], [-1.75, 1.40]])
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(sides, axis=1)
    ends = np.cumsum(lengths)
    places = []
    for number in range(count):
        way = ends[-1] * number / count + rng.normal(0, 0.05)
        side = int(np.searchsorted(ends, way % ends[-1]))
        share = 1.0 - (ends[side] - way % ends[-1]) / lengths[side]
        spot = corners[side] + share * sides[side] + rng.normal(0, 0.06, 2)
        eye = np.array([*spot, 1.52 + rng.normal(0, 0.06)])
        across = np.arctan2(-spot[1], -spot[0])
        heading = across + np.radians((-24.0, 4.0, 26.0)[number % 3] + rng.normal(0, 3.0))
        pitch = np.radians((-13.0, -3.0, -9.0, 7.0)[number % 4] + rng.normal(0, 2.0))
        level = np.cos(pitch)
        ahead = np.array([np.cos(heading) * level, np.sin(heading) * level, np.sin(pitch)])
        places.append((eye, eye + ahead))
    return places


def _pieces(rng: np.random.Generator) -> Iterator[Piece]:
    x, y = HALF
    yield from furniture.table(-0.75, 0.35)
    for i in (-1, 1):
        yield from furniture.chair(-0.75 + 0.36 * i, -0.22, 1)
        yield from furniture.chair(-0.75 + 0.36 * i, 0.92, -1)
    yield from furniture.sofa(x - 0.47, -0.35)
    yield from furniture.shelf(-x + 0.145, 0.75, rng)
    yield from furniture.sideboard(0.55, -y + 0.22)
    yield from furniture.door(-1.55, -y)
    yield from furniture.picture((0.55, -y, 1.55), 1.0, 0.7, wall="-y")
    yield from furniture.picture((x, -0.75, 1.55), 0.5, 0.6, wall="+x")
    yield from furniture.picture((x, 0.05, 1.55), 0.5, 0.6, wall="+x")
    yield from furniture.picture((-x, -0.9, 1.5), 0.6, 0.8, wall="-x")
    yield from furniture.radiator(0.7, y - 0.07)
    yield from furniture.lamp(-0.75, 0.35, HEIGHT)
    yield from _skirting()
    yield from _window_frame()


def _skirting() -> Iterator[Piece]:
    x, y = HALF
    strips = [
        ((0.47, -y + 0.008, 0.045), (2 * x - 0.94, 0.016, 0.09)),
        ((-2.29, -y + 0.008, 0.045), (0.42, 0.016, 0.09)),
        ((0.0, y - 0.008, 0.045), (2 * x, 0.016, 0.09)),
        ((-x + 0.008, 0.0, 0.045), (0.016, 2 * y - 0.032, 0.09)),
        ((x - 0.008, 0.0, 0.045), (0.016, 2 * y - 0.032, 0.09)),
    ]
    for centre, size in strips:
        part = box(centre, size, tint=WHITE)
        yield Piece(part=part, material=Material.PLAIN, shadow=False)


def _window_frame() -> Iterator[Piece]:
    """Two casements; between their bars nothing is."""
    (left, right), (low, high) = WINDOW.x, WINDOW.z
    y = WINDOW.y - 0.07
    middle, tall = (low + high) / 2, high - low
    bars = [((x, y, middle), (0.07, 0.06, tall)) for x in (left + 0.035, right - 0.035)]
    bars.append((((left + right) / 2, y, middle), (0.11, 0.06, tall)))
    bars += [
        (((left + right) / 2, y, z), (right - left, 0.05, 0.07))
        for z in (low + 0.035, high - 0.035)
    ]
    sill = (((left + right) / 2, HALF[1] + 0.03, low - 0.012), (right - left + 0.1, 0.34, 0.024))
    for centre, size in [*bars, sill]:
        part = box(centre, size, tint=WHITE)
        yield Piece(part=part, material=Material.PLAIN, shadow=False)


def _shell() -> Iterator[_Patch]:
    """Floor, ceiling, walls and the window's reveal, seen from inside."""
    x, y = HALF
    whole = {"x": (-x, x), "y": (-y, y), "z": (0.0, HEIGHT)}
    plain = Material.PLAIN
    yield _rectangle(2, 0.0, whole["x"], whole["y"], 1, FLOOR_TINT, Material.PLANKS)
    yield _rectangle(2, HEIGHT, whole["x"], whole["y"], -1, WHITE, plain)
    yield _rectangle(0, -x, whole["y"], whole["z"], 1, WHITE, plain)
    yield _rectangle(0, x, whole["y"], whole["z"], -1, WHITE, plain)
    yield _rectangle(1, -y, whole["x"], whole["z"], 1, WHITE, plain)
    (left, right), (low, high) = WINDOW.x, WINDOW.z
    yield _rectangle(1, y, (-x, left), whole["z"], -1, WHITE, plain)
    yield _rectangle(1, y, (right, x), whole["z"], -1, WHITE, plain)
    yield _rectangle(1, y, (left, right), (0.0, low), -1, WHITE, plain)
    yield _rectangle(1, y, (left, right), (high, HEIGHT), -1, WHITE, plain)
    deep = (y, WINDOW.y)
    yield _rectangle(0, left, deep, (low, high), 1, WHITE, plain)
    yield _rectangle(0, right, deep, (low, high), -1, WHITE, plain)
    yield _rectangle(2, low, (left, right), deep, 1, WHITE, plain)
    yield _rectangle(2, high, (left, right), deep, -1, WHITE, plain)


def _rectangle(
    axis: int, at: float, first: tuple[float, float], second: tuple[float, float], side: int,
    tint: Vector, material: Material,
) -> _Patch:  # fmt: skip
    """The part of the plane `axis` = `at` between two ranges of the other axes, facing `side`."""
    others = [other for other in range(3) if other != axis]
    lines = [
        np.linspace(low, high, max(2, int(np.ceil((high - low) / STEP)) + 1))
        for low, high in (first, second)
    ]
    u, v = np.meshgrid(*lines, indexing="ij")
    vertices = np.empty((u.size, 3))
    vertices[:, axis], vertices[:, others[0]], vertices[:, others[1]] = at, u.ravel(), v.ravel()
    index = np.arange(u.size).reshape(u.shape)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    # (u, v, axis) is right-handed for the axes x and z, left-handed for y.
    if (side > 0) == (axis == 1):
        faces = faces[:, ::-1]
    normals = np.zeros_like(vertices)
    normals[:, axis] = side
    return _Patch(
        vertices=vertices, faces=faces.astype(np.int32), normals=normals,
        local=vertices.copy(), tint=tint, material=material,
    )  # fmt: skip


def _surfaces(piece: Piece) -> Iterator[_Patch]:
    part = piece.part
    if part.kind is not Kind.BOX:
        yield _round_surface(piece)
        return
    centre, half = np.array(part.centre), np.array(part.numbers[3:6])
    low, high = centre - half, centre + half
    order = np.argsort(-half, kind="stable")
    for axis in range(3):
        first, second = (other for other in range(3) if other != axis)
        for side, at in ((-1, low[axis]), (1, high[axis])):
            patch = _rectangle(
                axis, float(at), (low[first], high[first]), (low[second], high[second]), side,
                part.tint, piece.material,
            )  # fmt: skip
            local = (patch.vertices - centre)[:, order] + _apart(part)
            yield _Patch(**{**vars(patch), "local": local})


def _round_surface(piece: Piece) -> _Patch:
    part = piece.part
    alone = body_of([part], relief=0.0, relief_frequency=1.0, seed=0)
    reach = part.reach + 2 * ROUND_CELL
    centre = np.array(part.centre)
    vertices, faces = mesh_of(alone.distance, centre - reach, centre + reach, ROUND_CELL)
    slope = gradient(alone.distance, vertices, 0.4 * ROUND_CELL)
    normals = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    local = vertices - centre + _apart(part)
    return _Patch(
        vertices=vertices, faces=faces, normals=normals, local=local, tint=part.tint,
        material=piece.material,
    )  # fmt: skip


def _apart(part: Part) -> NDArray[np.float64]:
    """Moves the grain, so that no two pieces are of the same piece of wood."""
    return np.round(np.array(part.centre) * 37.0) * 0.81


def _shadows(pieces: list[Piece]) -> Body:
    """The solid that takes light: the walls around and the larger pieces."""
    x, y = HALF
    (left, right), (low, high) = WINDOW.x, WINDOW.z
    opening = ((left + right) / 2, y + REVEAL, (low + high) / 2)
    shell = [
        box((0, 0, HEIGHT / 2), (2 * x + 2, 2 * y + 2 * REVEAL, HEIGHT + 2)),
        box((0, 0, HEIGHT / 2), (2 * x, 2 * y, HEIGHT), carve=True),
        box(opening, (right - left, 4 * REVEAL, high - low), carve=True),
    ]
    parts = [*shell, *(piece.part for piece in pieces if piece.shadow)]
    return body_of(parts, relief=0.0, relief_frequency=1.0, seed=0)
