"""Stage `surface`: one triangle mesh through the cloud, and nothing where no photo looked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from insaat_cli.engine.fusion import Cloud
from insaat_cli.engine.mesh import supported, without_folds, without_islands, without_vertices
from insaat_cli.engine.ply import read_cloud, read_mesh, write_mesh
from insaat_cli.errors import StageError
from insaat_cli.stages.contract import Events, Metrics, StageRequest, parse_options, run_stage


@dataclass(frozen=True, kw_only=True)
class SurfaceOptions:
    """How the surface follows the cloud."""

    depth: int = 10
    """Largest octree depth."""
    cell: float = 1.0
    """Side of the smallest octree cell in spacings of the cloud."""
    reach: float = 4.0
    """The surface ends this many spacings beyond the last point."""
    island_share: float = 0.01
    """Components smaller than this share of the largest are dropped."""


def build_surface(
    cloud_file: Path,
    output: Path,
    options: SurfaceOptions,
    *,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> Metrics:
    """Write `output`, a PLY mesh, from the cloud; `spacing` is in the cloud's file."""
    cloud = read_cloud(cloud_file)
    spacing = typical_spacing(cloud, threads)
    extent = 1.1 * float(np.ptp(cloud.points, axis=0).max())
    depth = min(options.depth, int(np.ceil(np.log2(extent / (options.cell * spacing)))))
    progress(0.05)
    scratch = output.with_name("poisson.ply")
    settings = pycolmap.PoissonMeshingOptions()
    settings.depth, settings.num_threads = max(depth, 5), threads
    settings.trim, settings.color = 0.0, False
    pycolmap.poisson_meshing(str(cloud_file), str(scratch), settings)
    vertices, faces = read_mesh(scratch)
    scratch.unlink()
    progress(0.8)
    keep = supported(vertices, cloud.points, options.reach * spacing, threads=threads)
    vertices, faces = without_vertices(vertices, without_folds(faces), keep)
    vertices, faces, components = without_islands(vertices, faces, options.island_share)
    if not len(faces):
        raise StageError("the cloud holds no surface", hint="take more photos with more overlap")
    write_mesh(output, vertices, faces)
    return {"faces": len(faces), "vertices": len(vertices), "components": components}


def typical_spacing(cloud: Cloud, threads: int) -> float:
    """Median distance from a point to its nearest, over a sample."""
    from scipy.spatial import cKDTree

    sample = cloud.points[:: max(1, len(cloud.points) // 20000)]
    distance, _ = cKDTree(cloud.points).query(sample, k=5, workers=threads)
    return float(np.median(distance[:, 1:].mean(axis=1)))


def main(request: StageRequest, events: Events) -> Metrics:
    return build_surface(
        request.inputs["fuse"] / "cloud.ply",
        request.output / "mesh.ply",
        parse_options(SurfaceOptions, request.params),
        threads=request.threads,
        progress=events.progress,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
