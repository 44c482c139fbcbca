"""Stage `surface`: one triangle mesh through the cloud, and nothing where no photo looked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from insaat_cli.engine.scene.views import View
from insaat_cli.engine.stereo.depth_map_files import DepthMap, DepthView, read_index
from insaat_cli.engine.surface.cloud_grain import occupied_cells, typical_spacing, typical_thickness
from insaat_cli.engine.surface.decimation import merge_flat
from insaat_cli.engine.surface.face_class import class_shares, face_classes
from insaat_cli.engine.surface.hole_closing import Oriented, closed_surface, free_space, in_photo
from insaat_cli.engine.surface.hole_patching import close_small_holes
from insaat_cli.engine.surface.implicit_surface import RADIUS, Surfaces
from insaat_cli.engine.surface.mesh_cleaning import (
    Faces,
    Vertices,
    compact,
    remove_small_components,
    without_folds,
)
from insaat_cli.engine.surface.photo_consistency import (
    RINGS,
    Witness,
    ask_photos,
    inconsistent,
    near_border,
    peeled,
)
from insaat_cli.engine.surface.simplification import fewer_faces
from insaat_cli.engine.working_images import load_rgb
from insaat_cli.errors import DoNotFitError
from insaat_cli.mesh_io.face_class import FaceClass
from insaat_cli.mesh_io.ply import read_cloud, write_mesh
from insaat_cli.mesh_io.point_cloud import Cloud
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

FACES_A_CELL = 2.0
"""Of the grid, by cell of that size with points in it."""
SPARE_FACES = 4.0
"""The grid may give so many times the faces wanted: flat parts need few of them."""
ROOM_FOR_PATCHES = 0.9
"""Share of the faces wanted that are there before what is left of holes is closed."""
NEAREST_SHARE = 0.2
"""Of the depth of the nearest sparse points of a photo: nothing is nearer to its camera."""
LENS_SHARE = 0.01
"""Of that depth: a point this close to a camera, to whatever side, is none of a surface."""
CLOSED_BEYOND = RADIUS
"""Cells from the nearest point beyond which a face was closed: measured points reach no farther."""


@dataclass(frozen=True, kw_only=True)
class SurfaceOptions:
    """How the surface follows the cloud."""

    cell: float = 1.5
    """Side of a grid cell, in spacings of the cloud, at least."""
    noise: float = 3.5
    """Side of a grid cell, in standard deviations of the cloud's points, at least."""
    max_faces: int = 500_000
    """The mesh has no more, and cells are not much finer than so many faces can show."""
    close_levels: int = 4
    """Holes up to about 2 ** this many cells are closed; 0: none is."""
    free_views: int = 2
    """So many depth maps must have seen through a place for it to count as free."""
    hole_views: int = 4
    """What is left of holes stays open where so many depth maps saw through."""
    flat_levels: int = 3
    """Flat parts get triangles up to 2 ** this many cells wide."""
    flat_tolerance: float = 0.05
    """How far from a plane a flat part may be, in cells."""
    carve_rounds: int = 2
    """How often what the photos contradict is taken away; what it hid is then seen."""
    island_share: float = 0.001
    """Components smaller than this share of the largest are dropped."""


def build_surface(
    cloud_file: Path,
    depth: Path,
    images: Path,
    output: Path,
    options: SurfaceOptions,
    *,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> Metrics:
    """Write `output`, a PLY mesh, from the cloud; depth maps and photos say what is not there.

    Raises DoNotFitError if no surface could be built from the point cloud.
    """
    cloud = read_cloud(cloud_file)
    cloud = cloud.only(~at_lenses(cloud.points, read_index(depth), threads))
    cell, thickness = cell_side(cloud.points, options, threads)
    oriented = Oriented(points=cloud.points, normals=cloud.normals)
    progress(0.1)
    rounds = 0

    def seen_through(points: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        nonlocal rounds
        rounds += 1
        progress(0.1 + 0.5 * rounds / (options.close_levels + 1))
        return known_free(points, depth, options.free_views)

    surface = closed_surface(oriented, cell, options.close_levels, seen_through, threads=threads)
    progress(0.7)
    vertices, faces, components = cleaned(surface, cell, options)
    progress(0.8)
    for done in range(options.carve_rounds):
        vertices, faces, components = carved(
            vertices, faces, witnesses(depth, images), cell, options, threads, cloud
        )
        progress(0.8 + 0.15 * (done + 1) / options.carve_rounds)
    vertices, faces = bounded(vertices, faces, int(ROOM_FOR_PATCHES * options.max_faces), threads)
    if options.close_levels:
        faces = close_small_holes(
            vertices,
            faces,
            cell * 2**options.close_levels,
            lambda points: known_free(points, depth, options.hole_views),
        )
        vertices, faces = bounded(vertices, faces, options.max_faces, threads)
    reach = CLOSED_BEYOND * cell if options.close_levels else np.inf  # else nothing was closed
    classes = face_classes(vertices, faces, cloud, reach, threads=threads)
    write_mesh(output, vertices, faces, classes)
    return {
        "faces": len(faces),
        "vertices": len(vertices),
        "components": components,
        **class_shares(vertices, faces, classes),
        "cell": cell,
        "thickness": thickness,
    }


def cell_side(
    points: npt.NDArray[np.float32], options: SurfaceOptions, threads: int
) -> tuple[float, float]:
    """Side of the grid's cells, and the thickness of the cloud's layer (world units both).

    As fine as the points lie, but not finer than they were measured, nor than the faces asked for
    can show.
    """
    tree = cKDTree(points)
    spacing = typical_spacing(tree, threads)
    thickness = typical_thickness(tree, spacing, threads)
    side = max(options.cell * spacing, options.noise * thickness)
    faces = FACES_A_CELL * occupied_cells(points, side)
    return side * max(1.0, faces / (SPARE_FACES * options.max_faces)) ** 0.5, thickness


def bounded(vertices: Vertices, faces: Faces, most: int, threads: int) -> tuple[Vertices, Faces]:
    """The mesh with at most `most` faces; fewer of them where it is flat."""
    if len(faces) <= most:
        return vertices, faces
    vertices, faces = fewer_faces(vertices, faces, most, threads=threads)
    return compact(vertices, without_folds(vertices, faces))


def cleaned(surface: Surfaces, cell: float, options: SurfaceOptions) -> tuple[Vertices, Faces, int]:
    """Vertices, faces and number of components: flat parts merged, folds and islands dropped.

    Raises DoNotFitError if nothing is left.
    """
    vertices, faces = merge_flat(
        surface.vertices,
        surface.normals,
        surface.faces,
        cell,
        options.flat_levels,
        options.flat_tolerance * cell,
    )
    return _largest(vertices, without_folds(vertices, faces), options)


def carved(
    vertices: Vertices,
    faces: Faces,
    said_by: Iterable[Witness],
    cell: float,
    options: SurfaceOptions,
    threads: int,
    cloud: Cloud | None = None,
) -> tuple[Vertices, Faces, int]:
    """The mesh without what the photos contradict, and without the islands that this leaves.

    What was measured was seen: where all photos see another surface before it, depth was measured
    twice, and worse the second time. A hole closed where no photo looks stays closed.

    Raises DoNotFitError if nothing is left.
    """
    said = ask_photos(vertices, faces, said_by, threads=threads)
    going = said.contradicted
    if cloud is not None:
        hidden = np.flatnonzero(said.hidden)
        kinds = face_classes(vertices, faces[hidden], cloud, CLOSED_BEYOND * cell, threads=threads)
        going[hidden[kinds != FaceClass.CLOSED]] = True
    doubtful = inconsistent(said)[~going]
    faces = faces[~going]
    doubtful &= near_border(vertices, faces, RINGS * cell, threads=threads)
    return _largest(vertices, faces[peeled(faces, doubtful)], options)


def _largest(
    vertices: Vertices, faces: Faces, options: SurfaceOptions
) -> tuple[Vertices, Faces, int]:
    vertices, faces, components = remove_small_components(vertices, faces, options.island_share)
    if not len(faces):
        raise DoNotFitError(
            "no surface could be built from the point cloud",
            hint="take more photos with more overlap",
        )
    return vertices, faces, components


def at_lenses(
    points: npt.NDArray[np.float32], entries: Sequence[DepthView], threads: int
) -> npt.NDArray[np.bool_]:
    """Which points (N, 3) are so close to a camera that a plane completed from afar passes it."""
    reach = np.array([LENS_SHARE * entry.near for entry in entries])
    centers = cKDTree([entry.view.center for entry in entries])
    distance, nearest = centers.query(points, distance_upper_bound=reach.max(), workers=threads)
    return np.asarray(distance < np.append(reach, 0.0)[nearest])


def known_free(points: npt.NDArray[np.float32], depth: Path, views: int) -> npt.NDArray[np.bool_]:
    """Which points (N, 3) so many depth maps saw through, or stand at the lens of any camera."""
    free = free_space(points, depth_maps(depth), views)
    entries = read_index(depth)
    free |= at_lenses(points, entries, 1)
    for entry in entries:
        free |= in_photo(points, entry.view, nearer_than=NEAREST_SHARE * entry.near)
    return free


def depth_maps(folder: Path) -> Iterator[tuple[View, npt.NDArray[np.float32]]]:
    """Camera and depth of every depth map, as `evidence` has it, read one at a time."""
    for entry in read_index(folder):
        yield entry.view, evidence(DepthMap.load(folder / entry.file))


def evidence(depth_map: DepthMap) -> npt.NDArray[np.float32]:
    """(H, W) depth that speaks against what lies before it: measured, or infinite for sky.

    What was completed is no evidence against what was measured.
    """
    depth = depth_map.depth
    if depth_map.completed is not None:
        depth = np.where(depth_map.completed, np.float32(0), depth)
    if depth_map.sky is not None:
        depth = np.where(depth_map.sky, np.float32(np.inf), depth)
    return depth


def witnesses(depth: Path, images: Path) -> Iterator[Witness]:
    """Depth map and photo of every view, the photo at the depth map's size, one at a time."""
    for entry in read_index(depth):
        depth_map = DepthMap.load(depth / entry.file)
        yield Witness(
            view=entry.view,
            depth=evidence(depth_map),
            near=NEAREST_SHARE * entry.near,
            sky_known=depth_map.sky is not None,
            rgb=load_rgb(images / entry.view.name, entry.view.width, entry.view.height),
        )


def main(request: StageRequest, events: Events) -> Metrics:
    return build_surface(
        request.inputs["fuse"] / "cloud.ply",
        request.inputs["complete"] / "depth",
        request.inputs["undistort"] / "images",
        request.output / "mesh.ply",
        parse_options(SurfaceOptions, request.params),
        threads=request.threads,
        progress=events.progress,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
