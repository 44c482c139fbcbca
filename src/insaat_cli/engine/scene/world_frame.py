"""The world frame of a reconstruction: Y up, subject over the origin, ground at y = 0.

Structure from motion knows its world only up to a similarity. Gravity comes from how people hold
cameras (horizontal image rows), from plumb edges in the photos (`vertical_lines.py`), from the
ground in the sparse points, or from GPS; scale only from GPS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.optical_axes import meeting_point

Array = npt.NDArray[np.float64]

ROLL_NOISE = 0.003
"""Variance of the sine of a handheld camera's roll: 3 degrees."""
ROLL_SCALE = 0.15
"""Sine of the roll at which a photo loses half its say: it may be a portrait without EXIF."""
GROUND_MAX_TILT = np.radians(12.0)
GROUND_MIN_SHARE = 0.15
GROUND_MAX_BELOW = 0.08
FLOOR_TOLERANCE = 0.005
"""Half the thickness of a floor that is known to be level, as a share of the points' extent."""
FLOOR_MIN_POINTS = 15
FLOOR_MIN_SHARE = 0.008
"""Of the points: most of a room's floor is plain, or under furniture."""
FLOOR_BELOW = 0.3
"""Points below a floor, as a share of those on it, at most."""
FLOOR_STRAYS = 0.01
"""So many of all points may be below in any case."""
FOOTPRINT_MARGIN = 0.3
"""How far beyond the cameras a floor is sought, as a share of their extent: what is seen through
a window may lie lower."""
FREE_EXTENT = 2.0
"""Largest extent of the subject in units where no scale is known."""
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """world = scale * rotation @ model + translation."""

    scale: float
    rotation: Array
    translation: Array

    def apply(self, points: Array) -> Array:
        """Transform points [n, 3]."""
        return self.scale * points @ self.rotation.T + self.translation


@dataclass(frozen=True, kw_only=True)
class WorldFrame:
    """How a model goes into the world, and what is known about it."""

    world_from_model: Similarity
    up_from: str
    """"cameras", "cameras and ground", "plumb lines", "plumb lines and ground" or "GPS"."""
    metric: bool
    """Whether one unit is one metre."""


@dataclass(frozen=True, kw_only=True)
class SparseScene:
    """Cameras and points of a reconstruction, in one frame."""

    cam_from_world: Array
    """Rotations [n, 3, 3]; camera axes x right, y down, z forward."""
    centers: Array
    """Camera centres [n, 3]."""
    points: Array
    """Points seen by three photos or more [m, 3]."""


def find_frame(
    scene: SparseScene, enu_m: Array | None = None, plumb: Array | None = None
) -> WorldFrame:
    """The upright frame of `scene`.

    `enu_m` [n, 3] gives camera positions east, north, up in metres by GPS, NaN where unknown; it
    is used for direction and scale where it agrees with the cameras, else left aside. `plumb` is
    the direction against gravity (unit) where edges in the photos tell it.
    """
    georeferenced = None if enu_m is None else align_to_gps(scene.centers, enu_m)
    if georeferenced is not None:
        world = _centred(scene, georeferenced, ground=None)
        return WorldFrame(world_from_model=world, up_from="GPS", metric=True)
    if plumb is None:
        up = up_from_cameras(scene.cam_from_world)
        ground = find_ground(scene, up)
        up = up if ground is None else ground.normal
    else:
        up, ground = plumb, find_floor(scene, plumb)
    upright = Similarity(scale=1.0, rotation=_facing(scene, up), translation=np.zeros(3))
    scale = FREE_EXTENT / max(_extent(upright.apply(scene.points)), 1e-12)
    upright = Similarity(scale=scale, rotation=upright.rotation, translation=np.zeros(3))
    witness = "cameras" if plumb is None else "plumb lines"
    return WorldFrame(
        world_from_model=_centred(scene, upright, ground),
        up_from=witness if ground is None else f"{witness} and ground",
        metric=False,
    )


def up_from_cameras(cam_from_world: Array) -> Array:
    """Unit vector against gravity, from rotations [n, 3, 3] of hand-held cameras.

    Image rows are horizontal, so up is normal to all x axes; where those do not span a plane (a
    facade), the mean image-up decides. Reweighted, as some photos may be rolled.
    """
    rows, image_up = cam_from_world[:, 0], -cam_from_world[:, 1]
    weights = np.ones(len(rows))
    up = np.zeros(3)
    for _ in range(20):
        spread = (weights[:, None] * rows).T @ rows / weights.sum()
        mean_up = (weights[:, None] * image_up).sum(axis=0) / weights.sum()
        if np.linalg.norm(mean_up) < 0.1:
            # Image-ups cancel: the cameras look straight down (or up) in all headings.
            up = np.linalg.eigh(spread)[1][:, 0]
            against_view = -cam_from_world[:, 2].mean(axis=0)
            up = up if up @ against_view >= 0 else -up
        else:
            up = _unit(np.linalg.solve(spread + ROLL_NOISE * np.eye(3), mean_up))
        weights = 1.0 / (1.0 + (rows @ up / ROLL_SCALE) ** 2)
        # A photo upside down or on its side is no witness, however straight its rows.
        weights *= np.where(image_up @ up > -0.2, 1.0, 0.05)
    return up


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The plane normal · x = offset on which the subject stands; the normal points up."""

    normal: Array
    offset: float


def find_ground(scene: SparseScene, up: Array) -> Ground | None:
    """A plane within 12 degrees of level with many points on it, few below, cameras above."""
    points = scene.points
    if len(points) < 100:
        return None
    tolerance = 0.01 * _extent(points)
    generator = np.random.default_rng(SEED)
    best, best_count = None, 0
    triples = generator.integers(0, len(points), (600, 3))
    for a, b, c in points[triples]:
        normal = np.cross(b - a, c - a)
        length = float(np.linalg.norm(normal))
        if length < 1e-12:
            continue
        normal = normal / length * (1.0 if normal @ up > 0 else -1.0)
        if normal @ up < np.cos(GROUND_MAX_TILT):
            continue
        count = int((np.abs(points @ normal - normal @ a) < tolerance).sum())
        if count > best_count:
            best, best_count = Ground(normal=normal, offset=float(normal @ a)), count
    if best is None:
        return None
    best = _fit_ground(points, best, tolerance)
    heights = points @ best.normal - best.offset
    on_it = (np.abs(heights) < tolerance).mean()
    below = (heights < -3 * tolerance).mean()
    above = (scene.centers @ best.normal > best.offset).mean()
    level = best.normal @ up >= np.cos(GROUND_MAX_TILT)
    ok = on_it >= GROUND_MIN_SHARE and below <= GROUND_MAX_BELOW and above >= 0.9 and level
    return best if ok else None


def find_floor(scene: SparseScene, up: Array) -> Ground | None:
    """The level plane with the most points on it, hardly any below and the cameras above.

    As `up` is known, one number is sought: a floor with few points is found in their heights,
    where three points taken at random would hardly ever lie on it.
    """
    heights = np.sort(_among_cameras(scene, up) @ up)
    tolerance = FLOOR_TOLERANCE * _extent(scene.points)
    low = np.searchsorted(heights, heights - tolerance)
    counts = np.searchsorted(heights, heights + tolerance, side="right") - low
    lowest_camera = float(np.percentile(scene.centers @ up, 10.0))
    fits = counts >= max(FLOOR_MIN_POINTS, FLOOR_MIN_SHARE * len(heights))
    fits &= low <= np.maximum(FLOOR_BELOW * counts, FLOOR_STRAYS * len(heights))
    fits &= heights < lowest_camera
    if not fits.any():
        return None
    middle = heights[int(np.argmax(np.where(fits, counts, 0)))]
    on_it = heights[np.abs(heights - middle) <= tolerance]
    return Ground(normal=up, offset=float(np.median(on_it)))


def _among_cameras(scene: SparseScene, up: Array) -> Array:
    """Points that lie above or below where the cameras stood, with a margin."""
    rotation = _facing(scene, up)
    centers, points = scene.centers @ rotation.T, scene.points @ rotation.T
    low, high = centers.min(axis=0), centers.max(axis=0)
    margin = FOOTPRINT_MARGIN * max(float((high - low)[[0, 2]].max()), 1e-12)
    inside = (points >= low - margin) & (points <= high + margin)
    return np.asarray(scene.points[inside[:, 0] & inside[:, 2]])


def _fit_ground(points: Array, ground: Ground, tolerance: float) -> Ground:
    for _ in range(5):
        near = points[np.abs(points @ ground.normal - ground.offset) < tolerance]
        mean = near.mean(axis=0)
        normal = np.linalg.svd(near - mean, full_matrices=False)[2][2]
        normal = normal if normal @ ground.normal > 0 else -normal
        ground = Ground(normal=normal, offset=float(normal @ mean))
    return ground


def align_to_gps(centers: Array, enu_m: Array) -> Similarity | None:
    """Similarity from camera centres [n, 3] to glTF axes (x east, y up, z south) in metres.

    None unless three or more positions are known, spread in two directions well beyond their
    disagreement with the cameras. Umeyama (1991) with Cauchy weights.
    """
    known = np.isfinite(enu_m).all(axis=1)
    if known.sum() < 3:
        return None
    source, target = centers[known], enu_m[known][:, [0, 2, 1]] * [1.0, 1.0, -1.0]
    weights = np.ones(len(source))
    for _ in range(20):
        fit = _umeyama(source, target, weights)
        error = np.linalg.norm(fit.apply(source) - target, axis=1)
        typical = max(float(np.median(error)), 1e-9)
        weights = 1.0 / (1.0 + (error / (2.0 * typical)) ** 2)
    spread = np.linalg.svd(target - np.median(target, axis=0), compute_uv=False)
    spread_m = spread[1] / np.sqrt(len(target))
    return fit if spread_m > 3.0 * typical and spread_m > 1.0 else None


def _umeyama(source: Array, target: Array, weights: Array) -> Similarity:
    share = (weights / weights.sum())[:, None]
    source_mean, target_mean = (share * source).sum(axis=0), (share * target).sum(axis=0)
    a, b = source - source_mean, target - target_mean
    u, singular, vt = np.linalg.svd((share * b).T @ a)
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ mirror @ vt
    variance = float((share * a * a).sum())
    scale = float((singular * np.diag(mirror)).sum()) / max(variance, 1e-12)
    return Similarity(
        scale=scale, rotation=rotation, translation=target_mean - scale * rotation @ source_mean
    )


def enu_from_gps(gps: list[tuple[float, float, float] | None]) -> Array:
    """Metres east, north, up [n, 3] of the median place, from degrees and metres; NaN if None."""
    rows = np.array([place if place is not None else (np.nan,) * 3 for place in gps], float)
    if not np.isfinite(rows[:, :2]).any():
        return np.full((len(gps), 3), np.nan)
    origin = np.nanmedian(rows, axis=0)
    earth_radius_m = 6_378_137.0
    north = np.radians(rows[:, 0] - origin[0]) * earth_radius_m
    east = np.radians(rows[:, 1] - origin[1]) * earth_radius_m * np.cos(np.radians(origin[0]))
    return np.stack([east, north, rows[:, 2] - origin[2]], axis=1)


def _facing(scene: SparseScene, up: Array) -> Array:
    """Rotation that takes `up` to +Y and the side from which most photos look to +Z."""
    back = -scene.cam_from_world[:, 2].mean(axis=0)
    back -= (back @ up) * up
    if np.linalg.norm(back) < 0.1:
        back = -scene.cam_from_world[0, 2]
        back = back - (back @ up) * up
    if np.linalg.norm(back) < 1e-6:
        back = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    z_axis = _unit(back)
    return np.stack([np.cross(up, z_axis), up, z_axis])


def _centred(scene: SparseScene, upright: Similarity, ground: Ground | None) -> Similarity:
    points = upright.apply(scene.points)
    centre = upright.apply(_subject_centre(scene)[None])[0]
    if ground is not None:
        level = float(upright.apply((ground.normal * ground.offset)[None])[0, 1])
    else:
        level = float(np.percentile(points[:, 1], 1.0))
    shift = np.array([centre[0], level, centre[2]])
    return Similarity(
        scale=upright.scale, rotation=upright.rotation, translation=upright.translation - shift
    )


def _subject_centre(scene: SparseScene) -> Array:
    """Where the optical axes meet, if they do among the points; else the median point."""
    median = np.asarray(np.median(scene.points, axis=0))
    meeting = meeting_point(scene.centers, scene.cam_from_world[:, 2])
    if meeting is None:
        return median
    low, high = np.percentile(scene.points, [5.0, 95.0], axis=0)
    return meeting if ((meeting >= low) & (meeting <= high)).all() else median


def _extent(points: Array) -> float:
    low, high = np.percentile(points, [5.0, 95.0], axis=0)
    return float((high - low).max())


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
