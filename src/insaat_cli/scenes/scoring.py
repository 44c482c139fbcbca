"""How far a reconstruction is from the truth: a light scorer for rendered and shared photo sets.

Centre errors after a similarity (S. Umeyama, "Least-squares estimation of transformation
parameters between two point patterns", 1991), precision and recall of the surface after
A. Knapitsch et al., "Tanks and Temples" (2017).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from insaat_cli.engine.render.raster import rasterize

Points = NDArray[np.float64]

TRUE_SAMPLES = 60_000
RECONSTRUCTED_SAMPLES = 600_000
CONTACT_SHARE = 0.02
"""Height, as a share of the extent, below which the subject meets the ground and is left out."""
BOX_MARGIN = 0.03
"""Reconstructed points further than this share of the extent from the subject's box are not its."""
VIEWS = 3
"""How many cameras must see a true point for it to count."""
FACING_COSINE = 0.03
"""A camera that sees a surface edge-on does not count as seeing it."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """B is about scale * R A + t."""

    scale: float
    R: NDArray[np.float64]
    t: NDArray[np.float64]

    def apply(self, points: Points) -> Points:
        """Points (n, 3) of A's frame in B's."""
        return np.asarray(self.scale * points @ self.R.T + self.t)


@dataclass(frozen=True, kw_only=True)
class CentreScore:
    """Errors of camera centres, as shares of the median distance between true cameras."""

    registered: int
    of: int
    median: float
    largest: float
    alignment: Similarity


def umeyama(a: Points, b: Points) -> Similarity:
    """The similarity that takes `a` (n, 3) to `b` (n, 3) with the least squared error."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    U, S, Vt = np.linalg.svd((b - mean_b).T @ (a - mean_a) / len(a))
    flip = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(U @ Vt)))])
    R = U @ flip @ Vt
    scale = float(np.trace(np.diag(S) @ flip) / a.var(axis=0).sum())
    return Similarity(scale=scale, R=R, t=mean_b - scale * R @ mean_a)


def robust_alignment(a: Points, b: Points, *, trials: int = 300) -> Similarity:
    """As `umeyama`, over the inliers of the best of many triples of pairs."""
    rng = np.random.default_rng(0)
    best = np.full(len(a), np.inf)
    for _ in range(trials):
        pick = rng.choice(len(a), 3, replace=False)
        guess = umeyama(a[pick], b[pick])
        error = np.linalg.norm(guess.apply(a) - b, axis=1)
        if np.median(error) < np.median(best):
            best = error
    limit = max(3 * float(np.median(best)), float(np.sort(best)[min(len(a) - 1, 3)]))
    inliers = best <= limit
    return umeyama(a[inliers], b[inliers])


def true_centres(cameras_json: Path) -> dict[str, Points]:
    """Camera centres (3,) by photo name from the `cameras.json` of a set with known truth."""
    entries = json.loads(cameras_json.read_text(encoding="utf-8"))
    return {entry["name"]: np.array(entry["C"]) for entry in entries}


def estimated_centres(cameras_json: Path) -> dict[str, Points]:
    """Camera centres (3,) by photo name from the `cameras.json` of a reconstruction."""
    images = json.loads(cameras_json.read_text(encoding="utf-8"))["images"]
    return {image["name"]: np.array(image["center"]) for image in images}


def score_centres(estimated: Mapping[str, Points], truth: Mapping[str, Points]) -> CentreScore:
    """Compare camera centres by photo name; the reconstruction may be in any frame and scale.

    Raises ValueError if fewer than three photos are in both.
    """
    names = sorted(set(estimated) & set(truth))
    if len(names) < 3:
        raise ValueError(f"only {len(names)} of {len(truth)} photos are in both")
    a = np.array([estimated[name] for name in names])
    b = np.array([truth[name] for name in names])
    alignment = robust_alignment(a, b)
    error = np.linalg.norm(alignment.apply(a) - b, axis=1)
    centres = np.array(list(truth.values()))
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    unit = float(np.median(gaps[gaps > 0]))
    return CentreScore(
        registered=len(names),
        of=len(truth),
        median=float(np.median(error)) / unit,
        largest=float(error.max()) / unit,
        alignment=alignment,
    )


@dataclass(frozen=True, kw_only=True)
class SurfaceScore:
    """Shares of points nearer than a threshold to the other surface."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """Harmonic mean of the two."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def score_surface(
    model: Path, truth: Path, alignment: Similarity, *, threshold: float = 0.01
) -> SurfaceScore:
    """Score a model file against the folder `truth` with `object.ply` and `cameras.json`.

    `alignment` takes the model to the frame of the truth (z up); `threshold` is a share of the
    subject's largest extent. Only true points that face several cameras count, and only
    reconstructed points near the subject.
    """
    mesh = load_mesh(model)
    mesh.vertices = alignment.apply(np.asarray(mesh.vertices))
    subject = load_mesh(truth / "object.ply")
    extent = float(np.ptp(subject.vertices, axis=0).max())
    expected = _seen_points(subject, truth / "cameras.json")
    expected = expected[expected[:, 2] > CONTACT_SHARE * extent]
    lower = subject.vertices.min(axis=0) - BOX_MARGIN * extent
    upper = subject.vertices.max(axis=0) + BOX_MARGIN * extent
    lower[2] = CONTACT_SHARE * extent
    found, _ = trimesh.sample.sample_surface(mesh, RECONSTRUCTED_SAMPLES, seed=1)
    found = found[((found > lower) & (found < upper)).all(axis=1)]
    if len(found) == 0:
        return SurfaceScore(precision=0.0, recall=0.0)
    surface, _ = trimesh.sample.sample_surface(subject, RECONSTRUCTED_SAMPLES, seed=2)
    near = threshold * extent
    to_found, _ = cKDTree(found).query(expected, distance_upper_bound=near)
    to_true, _ = cKDTree(surface).query(found[:: max(1, len(found) // TRUE_SAMPLES)],
                                        distance_upper_bound=near)  # fmt: skip
    return SurfaceScore(
        precision=float(np.isfinite(to_true).mean()), recall=float(np.isfinite(to_found).mean())
    )


def load_mesh(path: Path) -> trimesh.Trimesh:
    """The triangles of a model file as one mesh, vertices as stored."""
    return cast(trimesh.Trimesh, trimesh.load(path, force="mesh", process=False))


def _seen_points(subject: trimesh.Trimesh, cameras_json: Path) -> Points:
    """Points on the subject that at least `VIEWS` cameras see, by drawing its depth maps."""
    points, index = trimesh.sample.sample_surface(subject, TRUE_SAMPLES, seed=1)
    normals = subject.face_normals[index]
    extent = float(np.ptp(subject.vertices, axis=0).max())
    views = np.zeros(len(points), dtype=int)
    for camera in json.loads(cameras_json.read_text(encoding="utf-8")):
        R, t = np.array(camera["R"]), np.array(camera["t"])
        half = np.diag([0.5, 0.5, 1.0])
        K = half @ [[camera["fx"], 0, camera["cx"]], [0, camera["fy"], camera["cy"]], [0, 0, 1]]
        width, height = camera["w"] // 2, camera["h"] // 2
        faces = np.asarray(subject.faces, dtype=np.int32)
        depth = rasterize(subject.vertices @ R.T + t, faces, K, width, height).depth
        local = points @ R.T + t
        image = local @ K.T
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = np.floor(image[:, :2] / image[:, 2:]).T
        inside = (local[:, 2] > 0) & (u >= 0) & (v >= 0) & (u < width) & (v < height)
        towards = np.array(camera["C"]) - points
        cosine = (normals * towards).sum(axis=1) / np.linalg.norm(towards, axis=1)
        inside &= cosine > FACING_COSINE
        row, column = v[inside].astype(int), u[inside].astype(int)
        # Within a pixel, a slanted surface is at many depths.
        slope = np.sqrt(1 - cosine[inside] ** 2) / cosine[inside]
        slack = 0.004 * extent + local[inside, 2] / K[0, 0] * slope
        views[inside] += local[inside, 2] < depth[row, column] + slack
    return np.asarray(points[views >= VIEWS])
