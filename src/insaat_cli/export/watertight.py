"""Make a printable body out of any mesh: closed, without pockets, on a flat floor."""

from __future__ import annotations

from dataclasses import dataclass

import manifold3d
import numpy as np
import numpy.typing as npt
import trimesh
from scipy import ndimage

from insaat_cli.errors import InsaatError
from insaat_cli.export.marching_tetrahedra import zero_surface
from insaat_cli.export.winding_field import (
    SAMPLES_PER_CELL,
    Field,
    Grid,
    body_field,
    grid_around,
    sample_surface,
)

Floats = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]

CELLS = 256
SMALL_PART = 0.01
"""Loose parts below this share of the largest one's volume are dropped."""
THIN = 0.012
"""Thickness that a surface with nothing behind it gets, of the longest side."""
SIMPLIFY_CELLS = 0.04
"""How far simplifying may move the surface, in cells."""
PLATE_MARGIN = 0.04
"""How far the base stands out around the body, of the longest side."""
TOLERANCE_STEPS = 12
SAME_PLACE = 2e-6
"""Of the longest side: what a file with single precision can still tell apart."""
SEPARATE_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class SolidOptions:
    """What to make. Lengths in model units."""

    cells: int = CELLS
    floor: float | None = None
    """Height below which nothing is kept; None: the lowest point of the mesh."""
    base: float = 0.0
    """Height of a plate to stand on; 0: none."""
    wall: float = 0.0
    """Thickness of the walls of a hollow body; 0: solid."""
    max_faces: int | None = None
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A closed surface."""

    vertices: Floats
    faces: Faces
    volume: float
    area: float


def make_solid(vertices: Floats, faces: Faces, options: SolidOptions) -> Solid:
    """The closed body that a triangle mesh stands for. Raises InsaatError if there is none."""
    bounds = np.stack([vertices[faces].min(axis=(0, 1)), vertices[faces].max(axis=(0, 1))])
    floor = float(bounds[0, 1]) if options.floor is None else options.floor
    bounds[0, 1] = floor
    size = float((bounds[1] - bounds[0]).max())
    grid = grid_around(bounds, options.cells, floor)
    samples = sample_surface(vertices, faces, grid.spacing / SAMPLES_PER_CELL)
    field = body_field(samples, grid, thickness=THIN * size, threads=options.threads)
    _keep_whole_bodies(field)
    if not np.any(field > 0):
        raise InsaatError("the model encloses no volume", hint="is it a single flat sheet?")
    field, grid = _with_floor(field, grid, floor, options.base)
    if options.base:
        _add_base(field, grid, floor, options.base, PLATE_MARGIN * size)
    if options.wall:
        _hollow(field, grid, options.wall)
    body = _manifold(*zero_surface(field, grid.spacing, grid.origin)).simplify(
        SIMPLIFY_CELLS * grid.spacing
    )
    return _solid(_reduced(body, options.max_faces, grid.spacing))


def _keep_whole_bodies(field: Field) -> None:
    """Drop small loose parts, and fill pockets that no air reaches."""
    labels, count = ndimage.label(field > 0)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        small = sizes < SMALL_PART * sizes.max()
        small[0] = False
        field[small[labels]] = -1.0
    labels, count = ndimage.label(field <= 0)
    if count > 1:
        sides = (labels[0], labels[-1], labels[:, -1], labels[..., 0], labels[..., -1])
        open_air = np.zeros(count + 1, bool)
        for side in sides:
            open_air[np.unique(side)] = True
        field[(labels > 0) & ~open_air[labels]] = 1.0


def _with_floor(field: Field, grid: Grid, floor: float, base: float) -> tuple[Field, Grid]:
    """Room below for floor and base, a border of nothing all around, and the cut at the floor."""
    below = int(np.ceil(base / grid.spacing)) + 2
    padded = np.pad(field, ((1, 1), (below, 1), (1, 1)), mode="edge")
    origin = grid.origin - grid.spacing * np.array([1, below, 1])
    grid = Grid(origin=origin, spacing=grid.spacing, shape=padded.shape)
    heights = (origin[1] + grid.spacing * np.arange(padded.shape[1]) - floor) / grid.spacing
    np.minimum(padded, heights[None, :, None].astype(np.float32), out=padded)
    for axis in range(3):
        view = np.moveaxis(padded, axis, 0)
        view[0] = view[-1] = -1.0
    return padded, grid


def _add_base(field: Field, grid: Grid, floor: float, height: float, margin: float) -> None:
    """A plate under the body's foot, reaching from `height` below the floor to just above it."""
    axes = [grid.origin[a] + grid.spacing * np.arange(grid.shape[a]) for a in range(3)]
    foot: npt.NDArray[np.bool_] = np.any(field > 0, axis=1)
    inner = [axes[0][np.any(foot, axis=1)], axes[2][np.any(foot, axis=0)]]
    # One cell into the body, so that the two are one.
    spans = [
        (inner[0].min() - margin, inner[0].max() + margin),
        (floor - height, floor + grid.spacing),
        (inner[1].min() - margin, inner[1].max() + margin),
    ]
    depths = [
        np.minimum(axis - low, high - axis) / grid.spacing
        for axis, (low, high) in zip(axes, spans, strict=True)
    ]
    plate = np.minimum(
        np.minimum(depths[0][:, None, None], depths[1][None, :, None]), depths[2][None, None, :]
    )
    np.maximum(field, plate.astype(np.float32), out=field)


def _hollow(field: Field, grid: Grid, wall: float) -> None:
    """Empty the body but for its walls, with one hole in the floor to drain it."""
    depth = ndimage.distance_transform_edt(field > 0).astype(np.float32)
    depth -= np.float32(0.5)  # the surface runs between the last node inside and the first outside
    wall_cells = np.float32(wall / grid.spacing)
    deepest = np.unravel_index(int(depth.argmax()), depth.shape)
    if depth[deepest] <= wall_cells + 1:
        raise InsaatError(
            "the walls would fill the whole model", hint="give --hollow a smaller thickness"
        )
    np.minimum(field, wall_cells - depth, out=field)
    x = np.arange(grid.shape[0])[:, None] - deepest[0]
    z = np.arange(grid.shape[2])[None, :] - deepest[2]
    outside_hole = (np.hypot(x, z) - wall_cells).astype(np.float32)
    below = field[:, : deepest[1] + 1]
    np.minimum(below, outside_hole[:, None, :], out=below)


def _manifold(vertices: Floats, faces: Faces) -> manifold3d.Manifold:
    body = _as_manifold(vertices, faces)
    if body.status() != manifold3d.Error.NoError:
        raise InsaatError(f"the mesh could not be made watertight ({body.status().name})")
    return body


def _as_manifold(vertices: Floats, faces: Faces) -> manifold3d.Manifold:
    # Copies: the library takes no read-only arrays, and its own are.
    places, triangles = np.array(vertices, np.float64), np.array(faces, np.uint64)
    return manifold3d.Manifold(manifold3d.Mesh64(places, triangles))


def _reduced(
    body: manifold3d.Manifold, max_faces: int | None, spacing: float
) -> manifold3d.Manifold:
    """The body with at most `max_faces`, moved as little as that needs."""
    tolerance = SIMPLIFY_CELLS * spacing
    for _ in range(TOLERANCE_STEPS):
        if max_faces is None or body.num_tri() <= max_faces:
            return body
        tolerance *= 1.6
        body = body.simplify(tolerance)
    return body


def _solid(body: manifold3d.Manifold) -> Solid:
    mesh = body.to_mesh64()
    vertices = np.asarray(mesh.vert_properties, np.float64)[:, :3]
    faces = np.asarray(mesh.tri_verts, np.int64)
    vertices = _separated(np.array(vertices), faces)
    return Solid(vertices=vertices, faces=faces, volume=body.volume(), area=body.surface_area())


def _separated(vertices: Floats, faces: Faces) -> Floats:
    """Draw apart vertices that fell on the same place.

    Where a body touches itself they are two, but an STL knows places only: its reader would join
    them to an edge of four faces.
    """
    size = float(np.ptp(vertices, axis=0).max())
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    inwards = -np.asarray(mesh.vertex_normals)
    for _ in range(SEPARATE_ROUNDS):
        rounded = np.rint(vertices / (SAME_PLACE * size)).astype(np.int64)
        _, first = np.unique(rounded, axis=0, return_index=True)
        double = np.ones(len(vertices), bool)
        double[first] = False
        if not double.any():
            break
        vertices[double] += 3 * SAME_PLACE * size * inwards[double]
    return vertices


def is_watertight(vertices: Floats, faces: Faces) -> bool:
    """Whether every edge joins exactly two faces that agree on the inside, and a manifold library
    accepts the body.
    """
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if not (mesh.is_watertight and mesh.is_winding_consistent):
        return False
    body = _as_manifold(vertices, faces)
    return bool(body.status() == manifold3d.Error.NoError and body.volume() > 0)
