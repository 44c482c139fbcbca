"""The region of interest: what of a scene is the subject, and what is its background.

Only photos taken around a subject say which is which: their optical axes meet in the subject, they
come from half a circle or more, and what they see lies mostly inside their ring. Nobody walks
through the subject, so all that stands beyond the ring is background; of the ring's inside, a
box around all that rises from the ground is kept, with a margin and the ground on which it stands.
A facade, a row, a flight or a room has no such region and stays whole.

All lengths are world units, the frame is upright: Y up, ground at y = 0 (`world_frame.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.optical_axes import meeting_point
from insaat_cli.engine.scene.views import Scene

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
MIN_CAMERAS = 6
MIN_POINTS = 50
AXIS_MISS_DEG = 12.0
"""An axis that misses the meeting point by so much has half its say about where that is."""
TOWARDS_MAX_DEG = 35.0
"""A photo looks towards the subject if its axis passes it within this angle."""
TOWARDS_MIN_SHARE = 0.8
STEP_MAX_DEG = 60.0
"""Neighbours on the circle further apart than this leave a gap."""
CIRCLE_MIN_DEG = 150.0
"""A facade is seen from 120 degrees at most, half an orbit is 180."""
OVERHEAD = 0.2
"""Cameras nearer to the vertical axis than this share of the ring's radius have no azimuth."""
CORE = 0.7
"""Points nearer to the vertical axis than this share of the ring's radius are in its core."""
MIN_RISING = 0.02
"""Below this share of what a photo sees, that which rises from the ground tells nothing."""
CORE_MIN_SHARE = 0.5
"""Share of what a photo sees that is in the core; in a room most of it is the opposite wall."""
RING_SECTORS = 12
INSIDE = 0.9
"""Share of the ring's radius within which subjects are sought."""
GROUND_THICKNESS = 0.04
"""Points lower than this share of the ring's radius are ground."""
MARGIN = 0.25
"""Margin around what rises from the ground, as a share of its largest extent."""
MIN_HALF_SIDE = 0.5
"""The box reaches at least so far from the meeting point, as a share of the ring's radius."""
BELOW = 0.1
"""How far the box reaches below the ground, as a share of the ring's radius."""
STRAY_PERCENT = 0.5


class Capture(StrEnum):
    """How the photos were taken."""

    ORBIT = "orbit"
    """Around a subject."""
    ONE_SIDE = "one side"
    """A facade, a row, a flight: from less than half a circle, or nowhere in particular."""
    INSIDE = "inside"
    """From within what they show: a room, a courtyard, a panorama."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """An upright box in the world frame, world units; `low` < `high` on every axis."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def holds(self, points: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
        """Which of points (N, 3) lie within."""
        return np.asarray(((points >= self.low) & (points <= self.high)).all(axis=1))

    def corners(self) -> Array:
        """(8, 3)."""
        x, y, z = (np.array(pair) for pair in zip(self.low, self.high, strict=True))
        return np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(8, 3)

    def __str__(self) -> str:
        """As `--roi` takes it."""
        return ",".join(f"{value:.3f}" for value in (*self.low, *self.high))


@dataclass(frozen=True, kw_only=True)
class Region:
    """What was found out about a capture, and what of it is the subject."""

    capture: Capture | None
    """None: not looked at, as the box was given."""
    box: Box | None
    """None: keep everything."""
    circle_deg: float = 0.0
    """How much of a circle around the meeting point the photos were taken from."""
    towards_share: float = 0.0
    """Share of the photos that look at the meeting point."""
    core_share: float = 0.0
    """Share of what the median photo sees that lies near the meeting point."""

    def to_json(self) -> dict[str, Any]:
        box = None if self.box is None else {"low": self.box.low, "high": self.box.high}
        return {
            "capture": self.capture and self.capture.value,
            "box": box,
            "circle_deg": round(self.circle_deg, 1),
            "towards_share": round(self.towards_share, 3),
            "core_share": round(self.core_share, 3),
        }


def find_region(centers: Array, forwards: Array, points: Array, seen: Sequence[Indices]) -> Region:
    """How photos with centres and unit axes (N, 3) were taken, and the box of their subject.

    `points` (P, 3) are sparse points, `seen` for every photo the indices of those it saw.
    """
    centre = robust_meeting_point(centers, forwards)
    if centre is None or len(centers) < MIN_CAMERAS or len(points) < MIN_POINTS:
        return Region(capture=Capture.ONE_SIDE, box=None)
    towards_share = float(np.mean(_miss_deg(centre, centers, forwards) < TOWARDS_MAX_DEG))
    if towards_share < 0.5:
        return Region(capture=Capture.INSIDE, box=None, towards_share=towards_share)
    ring = Ring.around(centre, centers)
    away = ring.relative_distance(points)
    core_share = _core_share(away, _rises(points, away, ring), seen)
    capture = Capture.ORBIT
    if ring.circle_deg < CIRCLE_MIN_DEG or towards_share < TOWARDS_MIN_SHARE:
        capture = Capture.ONE_SIDE
    elif core_share < CORE_MIN_SHARE:
        capture = Capture.INSIDE
    return Region(
        capture=capture,
        box=_subject_box(ring, centers, points, away) if capture is Capture.ORBIT else None,
        circle_deg=ring.circle_deg,
        towards_share=towards_share,
        core_share=core_share,
    )


def region_of(scene: Scene) -> Region:
    """How the photos of `scene` were taken, and the box of their subject."""
    centers = np.array([view.center for view in scene.views])
    forwards = np.array([view.R[2] for view in scene.views])
    return find_region(centers, forwards, scene.points, scene.seen)


def subject_box(scene: Scene) -> Box:
    """Where the subject is: its region where the photos were taken around it, else all points."""
    found = region_of(scene)
    if found.box:
        return found.box
    percents = [STRAY_PERCENT, 100 - STRAY_PERCENT]
    low, high = np.percentile(scene.points, percents, axis=0)
    margin = MARGIN * float((high - low).max())
    return Box(low=_triple(low - margin), high=_triple(high + margin))


def robust_meeting_point(centers: Array, forwards: Array) -> Array | None:
    """The point that most optical axes pass; None where they diverge or run in parallel.

    Close-ups that look elsewhere lose their say by the angle at which they miss it (Cauchy).
    """
    point = meeting_point(centers, forwards)
    if point is None:
        return None
    for _ in range(10):
        miss = _miss_deg(point, centers, forwards) / AXIS_MISS_DEG
        weights = 1.0 / (1.0 + miss**2)
        normal_planes = np.eye(3) - forwards[:, :, None] * forwards[:, None, :]
        system = np.einsum("n,nij->ij", weights, normal_planes)
        right = np.einsum("n,nij,nj->i", weights, normal_planes, centers)
        if np.linalg.eigvalsh(system)[0] < 1e-3 * weights.sum():
            return point
        point = np.asarray(np.linalg.solve(system, right))
    return point


def _miss_deg(point: Array, centers: Array, forwards: Array) -> Array:
    towards = point - centers
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    cosine = np.einsum("ni,ni->n", towards, forwards)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@dataclass(frozen=True, kw_only=True)
class Ring:
    """How far the cameras are from the vertical axis through `centre`, by azimuth."""

    centre: Array
    circle_deg: float
    azimuths: Array
    """Radians, ascending: the middles of the sectors with a camera."""
    radii: Array
    """Of the outermost camera in each of them."""

    @classmethod
    def around(cls, centre: Array, centers: Array) -> Ring:
        across = (centers - centre)[:, [0, 2]]
        radius = np.hypot(across[:, 0], across[:, 1])
        low = radius >= OVERHEAD * np.median(radius)
        azimuth = np.arctan2(across[low, 1], across[low, 0])
        # The distance of one camera far away, for an overview, says nothing about the subject.
        radius = np.minimum(radius[low], 2.0 * np.median(radius[low]))
        sector = np.floor((azimuth + np.pi) / (2 * np.pi) * RING_SECTORS).astype(int)
        sector %= RING_SECTORS
        used = np.unique(sector)
        gaps = np.degrees(np.diff(np.sort(azimuth), append=azimuth.min() + 2 * np.pi))
        return cls(
            centre=centre,
            circle_deg=float(gaps[gaps <= STEP_MAX_DEG].sum()),
            azimuths=(used + 0.5) / RING_SECTORS * 2 * np.pi - np.pi,
            radii=np.array([radius[sector == one].max() for one in used]),
        )

    @property
    def radius(self) -> float:
        return float(np.median(self.radii))

    def relative_distance(self, points: Array) -> Array:
        """Distance of points (P, 3) from the axis, as a share of the ring's radius that way."""
        across = (points - self.centre)[:, [0, 2]]
        azimuth = np.arctan2(across[:, 1], across[:, 0])
        radius = np.interp(azimuth, self.azimuths, self.radii, period=2 * np.pi)
        return np.asarray(np.hypot(across[:, 0], across[:, 1]) / radius)


def _floor(points: Array, away: Array) -> float:
    """Height of the ground: that of the lowest points inside the ring, or 0 if they are higher."""
    inside = points[away < INSIDE, 1]
    return min(0.0, float(np.percentile(inside, STRAY_PERCENT))) if len(inside) else 0.0


def _rises(points: Array, away: Array, ring: Ring) -> npt.NDArray[np.bool_]:
    return np.asarray(points[:, 1] > _floor(points, away) + GROUND_THICKNESS * ring.radius)


def _core_share(away: Array, rises: npt.NDArray[np.bool_], seen: Sequence[Indices]) -> float:
    """Share of what rises from the ground, in the median photo, that lies near the axis.

    The ground goes on behind any subject: of textured ground a photo may see more than of the
    subject. The walls of a room rise, too. Of a photo that shows next to nothing but ground,
    all counts.
    """
    shares = []
    for rows in seen:
        if len(rows):
            upright = rows[rises[rows]]
            told_by = upright if len(upright) >= MIN_RISING * len(rows) else rows
            shares.append(float(np.mean(away[told_by] < CORE)))
    return float(np.median(shares)) if shares else 0.0


def _subject_box(ring: Ring, centers: Array, points: Array, away: Array) -> Box:
    """Around all that rises from the ground inside the ring, and never beyond the ring."""
    inside = points[away < INSIDE]
    floor = _floor(points, away)
    rising = points[(away < INSIDE) & _rises(points, away, ring)]
    least = MIN_HALF_SIDE * ring.radius
    low, high = ring.centre - least, ring.centre + least
    if len(rising) >= MIN_POINTS:
        low_rising, high_rising = np.percentile(
            rising, [STRAY_PERCENT, 100 - STRAY_PERCENT], axis=0
        )
        margin = MARGIN * float((high_rising - low_rising).max())
        low = np.minimum(low, low_rising - margin)
        high = np.maximum(high, high_rising + margin)
    # On the open side of half an orbit there is no camera: there the ring's radius counts.
    reach_low = np.minimum(centers.min(axis=0), ring.centre - ring.radius)
    reach_high = np.maximum(centers.max(axis=0), ring.centre + ring.radius)
    low, high = np.maximum(low, reach_low), np.minimum(high, reach_high)
    high[1] = max(high[1], float(inside[:, 1].max()))
    low[1] = floor - BELOW * ring.radius
    return Box(low=_triple(low), high=_triple(high))


def _triple(values: Array) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
