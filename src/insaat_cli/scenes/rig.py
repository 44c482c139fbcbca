"""Where the photographer stood: cameras with known pose and lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insaat_cli.scenes.room import room_cameras
from insaat_cli.scenes.subjects import Subject

RING_GAP = np.radians(26.0)
"""Rings are added while the neighbours in a ring stay closer than this."""


@dataclass(frozen=True, kw_only=True)
class Lens:
    """Intrinsics of all cameras of a scene, in pixels, with pixel centres at +0.5."""

    width: int
    height: int
    focal: float
    k1: float = 0.0
    """COLMAP's SIMPLE_RADIAL: a point at radius r of the normalised plane appears at
    r * (1 + k1 * r^2)."""

    @property
    def K(self) -> NDArray[np.float64]:  # noqa: N802 - the field's name
        """(3, 3) calibration matrix."""
        fx, cx, cy = self.focal, self.width / 2, self.height / 2
        return np.array([[fx, 0.0, cx], [0.0, fx, cy], [0.0, 0.0, 1.0]])

    @property
    def focal_35mm(self) -> float:
        """The focal length of a full-frame camera with the same view, in millimetres."""
        return self.focal * 36.0 / self.width


@dataclass(frozen=True, kw_only=True)
class CameraTruth:
    """One camera: a point X of the world is at R X + t, in opencv axes."""

    name: str
    R: NDArray[np.float64]
    t: NDArray[np.float64]
    lens: Lens

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) in the world."""
        return np.asarray(-self.R.T @ self.t)


def place_cameras(
    subject: Subject,
    names: list[str],
    lens: Lens,
    rng: np.random.Generator,
    *,
    arc: float = 360.0,
    turntable: bool = False,
) -> list[CameraTruth]:
    """Walk around the subject, or along it if it has only a front, without a steady hand.

    `arc` is how far around, in degrees. On a `turntable` it is the subject that turns, before a
    tripod at two heights.
    """
    view = lens.height / lens.focal
    if turntable:
        return _before_turntable(names, lens, view)
    cameras = []
    if subject is Subject.FACADE:
        places = _before_facade(len(names), view, rng)
    elif subject is Subject.ROOM:
        places = room_cameras(len(names), rng)
    else:
        places = _around(len(names), view, rng, np.radians(arc))
    for name, (eye, aim) in zip(names, places, strict=True):
        R = _look_at(eye, aim, roll=rng.normal(0.0, np.radians(2.0)))
        cameras.append(CameraTruth(name=name, R=R, t=-R @ eye, lens=lens))
    return cameras


Places = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _before_turntable(names: list[str], lens: Lens, view: float) -> list[CameraTruth]:
    """Two rounds in even steps, always at the same distance, always looking at the same point."""
    distance = 0.5 * 0.92 / (0.36 * view)
    aim = np.array([0.0, 0.0, 0.42])
    first = (len(names) + 1) // 2
    cameras = []
    for number, name in enumerate(names):
        lower = number < first
        step, size = (number, first) if lower else (number - first, len(names) - first)
        azimuth, tilt = 2 * np.pi * step / size, np.radians(15.0 if lower else 33.0)
        level = np.cos(tilt)
        away = np.array([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(tilt)])
        eye = aim + distance * away
        R = _look_at(eye, aim, roll=0.0)
        cameras.append(CameraTruth(name=name, R=R, t=-R @ eye, lens=lens))
    return cameras


def _around(count: int, view: float, rng: np.random.Generator, arc: float) -> Places:
    """Rings of cameras about z, the lower ones fuller than the upper ones."""
    rings = max(1, min(4, int(count * RING_GAP / arc / 0.8)))
    shares = np.array([1.0, 0.75, 0.75, 0.5][:rings])
    sizes = np.floor(count * shares / shares.sum()).astype(int)
    sizes[0] += count - sizes.sum()
    elevations = np.radians([14.0, 34.0, 22.0, 50.0][:rings] if rings > 1 else [20.0])
    distance = 0.5 * 0.92 / (0.40 * view)
    places: Places = []
    for ring, (size, elevation) in enumerate(zip(sizes, elevations, strict=True)):
        for step in range(size):
            azimuth = arc * (step + 0.37 * ring) / size + rng.normal(0, np.radians(2.0))
            tilt = elevation + rng.normal(0, np.radians(2.0))
            away = distance * rng.uniform(0.93, 1.07)
            eye = away * np.array(
                [np.cos(azimuth) * np.cos(tilt), np.sin(azimuth) * np.cos(tilt), np.sin(tilt)]
            )
            aim = np.array([0.0, 0.0, 0.42]) + rng.normal(0, 0.025, 3)
            eye[2] += 0.42
            places.append((eye, aim))
    return places


def _before_facade(count: int, view: float, rng: np.random.Generator) -> Places:
    """Two rows on an arc in front of the house."""
    distance = 0.5 * 1.2 / (0.34 * view)
    places: Places = []
    lower = (count + 1) // 2
    for n in range(count):
        row, step, size = (0, n, lower) if n < lower else (1, n - lower, count - lower)
        azimuth = np.radians(-90.0 + np.interp(step, [0, max(size - 1, 1)], [-38.0, 38.0]))
        azimuth += rng.normal(0, np.radians(1.5))
        away = distance * rng.uniform(0.93, 1.07)
        height = (0.40, 0.95)[row] + rng.normal(0, 0.03)
        eye = np.array([away * np.cos(azimuth), away * np.sin(azimuth), height])
        aim = np.array([0.25 * np.cos(azimuth), 0.0, 0.54]) + rng.normal(0, 0.03, 3)
        places.append((eye, aim))
    return places


def _look_at(
    eye: NDArray[np.float64], aim: NDArray[np.float64], *, roll: float
) -> NDArray[np.float64]:
    """World to camera rotation in opencv axes (x right, y down, z forwards), z up outside."""
    forward = (aim - eye) / np.linalg.norm(aim - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll), np.sin(roll)
    return np.stack([cos * right + sin * down, cos * down - sin * right, forward])
