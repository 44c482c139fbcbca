"""A field that is positive inside of the body that a mesh means, whatever its holes.

Far from the mesh the sign comes from its winding number, found by solving one Poisson equation
for the indicator function (Kazhdan 2005) with cosine transforms; near it, from the distance to
the tangent plane of the nearest surface sample, so that detail keeps its place. The floor is a
mirror: a body that is open below is closed there by its own reflection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage
from scipy.spatial import cKDTree

Field = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int64]

SAMPLES_PER_CELL = 2.0
"""Surface samples along one cell's side."""
MARGIN = 0.12
"""Empty border around the body, of its longest side: the indicator settles there."""
NEAR, FAR = 0.75, 2.0
"""Between these distances, in cells, the tangent plane gives way to the winding number."""
INSIDE = 0.5
HOLLOW_LOOK = 0.3 * 2 * FAR
FOLD_COSINE = 0.3
FINE_SAMPLES = 4
"""A face with more samples than this is flat ground, not a piece of a curved surface."""
GOLDEN = np.array([0.7548776662466927, 0.5698402909980532])
"""Roberts' R2 sequence: evenly spread points without a random number."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Nodes at `origin + spacing * (i, j, k)`; node layer j = 0 is half a cell above the floor."""

    origin: Floats
    spacing: float
    shape: tuple[int, int, int]

    def nodes(self, index: npt.NDArray[np.int64]) -> Floats:
        """(n, 3) places of the nodes with these indices."""
        places: Floats = self.origin + self.spacing * index
        return places


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Points of a surface with their unit normals and the area that each stands for."""

    points: Floats
    normals: Floats
    areas: Floats


def grid_around(bounds: Floats, cells: int, floor: float) -> Grid:
    """A grid with `cells` along the longest side of `bounds` (2, 3), standing on `floor`."""
    size = float((bounds[1] - bounds[0]).max())
    spacing = size / cells
    low = bounds[0] - MARGIN * size
    high = bounds[1] + MARGIN * size
    low[1] = floor + spacing / 2
    counts = np.ceil((high - low) / spacing).astype(int) + 1
    shape = tuple(int(fft.next_fast_len(int(count), real=True)) for count in counts)
    return Grid(origin=low, spacing=spacing, shape=(shape[0], shape[1], shape[2]))


def sample_surface(vertices: Floats, faces: Faces, spacing: float) -> Samples:
    """Samples about `spacing` apart, at least one a face; normals vary smoothly over the mesh."""
    corners = vertices[faces]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(crosses, axis=1) / 2
    keep = areas > 0
    faces, corners, crosses, areas = faces[keep], corners[keep], crosses[keep], areas[keep]
    counts = np.maximum(1, np.ceil(areas / spacing**2)).astype(np.int64)
    face = np.repeat(np.arange(len(faces)), counts)
    number = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    weights = (0.5 + (number[:, None] + 1) * GOLDEN) % 1.0
    weights[counts[face] == 1] = 1 / 3
    outside = weights.sum(axis=1) > 1
    weights[outside] = 1 - weights[outside]
    shares = np.concatenate([1 - weights.sum(axis=1, keepdims=True), weights], axis=1)
    vertex_normals = _vertex_normals(len(vertices), faces, crosses)
    normals = np.einsum("sc,scx->sx", shares, vertex_normals[faces[face]])
    flat = crosses[face] / (2 * areas[face, None])
    # On a large face, or in a fold, there is no mean direction: there the face knows better.
    agreement = np.einsum("sx,sx->s", normals, flat)
    sharp = agreement < FOLD_COSINE * np.linalg.norm(normals, axis=1)
    sharp |= counts[face] > FINE_SAMPLES
    normals[sharp] = flat[sharp]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    points = np.einsum("sc,scx->sx", shares, corners[face])
    return Samples(points=points, normals=normals, areas=areas[face] / counts[face])


def _vertex_normals(count: int, faces: Faces, crosses: Floats) -> Floats:
    total = np.zeros((count, 3))
    for corner in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, corner], crosses[:, axis], count)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return total


def winding_field(samples: Samples, grid: Grid, threads: int) -> Field:
    """The indicator function: about 1 inside, 0 outside, smooth across holes."""
    density = _divergence(samples, grid)
    spectrum = fft.dctn(density, type=2, workers=threads, overwrite_x=True)
    eigen = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in grid.shape]
    total = (eigen[0][:, None, None] + eigen[1][None, :, None] + eigen[2]).astype(np.float32)
    total[0, 0, 0] = 1.0
    spectrum *= grid.spacing**2 / total
    spectrum[0, 0, 0] = 0.0
    indicator: Field = fft.idctn(spectrum, type=2, workers=threads, overwrite_x=True)
    sides = [indicator[0], indicator[-1], indicator[:, -1], indicator[..., 0], indicator[..., -1]]
    indicator -= np.float32(np.median(np.concatenate([side.ravel() for side in sides])))
    return indicator


def _divergence(samples: Samples, grid: Grid) -> Field:
    """Divergence of the surface's normals as a density; the gradient of the indicator is minus
    their density.
    """
    total = np.zeros(grid.shape, np.float32)
    for axis in range(3):
        flux = _splat(samples, samples.areas * samples.normals[:, axis], grid)
        flux = np.moveaxis(flux, axis, 0)
        view = np.moveaxis(total, axis, 0)
        view[1:-1] += (flux[2:] - flux[:-2]) / (2 * grid.spacing)
        view[0] += (flux[1] + flux[0]) / (2 * grid.spacing)  # the mirror turns the normal round
        view[-1] -= (flux[-1] + flux[-2]) / (2 * grid.spacing)
    return total


def _splat(samples: Samples, weights: Floats, grid: Grid) -> Field:
    """Spread `weights` over the eight nodes around each sample, as a density."""
    place = (samples.points - grid.origin) / grid.spacing
    base = np.floor(place).astype(np.int64)
    share = place - base
    total = np.zeros(grid.shape, np.float32).ravel()
    limits = np.array(grid.shape) - 1
    for offset in np.ndindex(2, 2, 2):
        part = np.prod(np.where(np.array(offset) == 1, share, 1 - share), axis=1)
        node = np.clip(base + offset, 0, limits)
        flat = np.ravel_multi_index(tuple(node.T), grid.shape)
        total += np.bincount(flat, part * weights, total.size).astype(np.float32)
    total /= np.float32(grid.spacing**3)
    return total.reshape(grid.shape)


def body_field(samples: Samples, grid: Grid, *, thickness: float, threads: int) -> Field:
    """Signed distance near the surface, in cells; positive inside; larger values far from it mean
    nothing but their sign. Surfaces with nothing behind them become walls of `thickness`.
    """
    field = winding_field(samples, grid, threads)
    field -= np.float32(INSIDE)
    field *= np.float32(2 * FAR)
    reach = max(FAR, thickness / grid.spacing)
    index = _nodes_near(samples, grid, FAR)
    if reach > FAR:  # walls are built only where the winding number sees nothing solid
        more = _nodes_near(samples, grid, reach)
        index = np.concatenate([index, more[field[tuple(more.T)] < HOLLOW_LOOK]])
    places = grid.nodes(index)
    tree = cKDTree(samples.points)
    distance, nearest = tree.query(
        places, workers=threads, distance_upper_bound=(reach + 1) * grid.spacing
    )
    found = np.isfinite(distance)
    index, distance, nearest = index[found], distance[found] / grid.spacing, nearest[found]
    offset = (places[found] - samples.points[nearest]) / grid.spacing
    depth = -np.einsum("nx,nx->n", offset, samples.normals[nearest])
    depth = np.clip(depth, -distance, distance)
    share = np.clip((distance - NEAR) / (FAR - NEAR), 0, 1)
    share *= share * (3 - 2 * share)
    at = tuple(index.T)
    blended = (1 - share) * depth + share * field[at]
    wall = np.minimum(depth, thickness / grid.spacing - distance)
    field[at] = np.maximum(blended, wall)
    return field


def _nodes_near(samples: Samples, grid: Grid, reach: float) -> npt.NDArray[np.int64]:
    occupied = np.zeros(grid.shape, bool)
    cell = np.rint((samples.points - grid.origin) / grid.spacing).astype(np.int64)
    cell = np.clip(cell, 0, np.array(grid.shape) - 1)
    occupied[tuple(cell.T)] = True
    ball = ndimage.generate_binary_structure(3, 2)
    near = ndimage.binary_dilation(occupied, ball, iterations=int(np.ceil(reach)))
    return np.argwhere(near)
