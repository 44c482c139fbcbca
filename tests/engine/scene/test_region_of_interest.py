"""The region of interest on scenes whose kind and subject are known."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest

from insaat_cli.engine.scene.region_of_interest import Box, Capture, Region, find_region
from insaat_cli.errors import UsageError
from insaat_cli.stages.fuse import parse_box

Array = npt.NDArray[np.float64]
HALF_WIDTH, HALF_HEIGHT = 0.6, 0.45
"""Tangents of half the angles of view of all cameras here."""


def looking_at(centers: Array, targets: Array) -> Array:
    axes = targets - centers
    return np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True))


def circle(count: int, radius: float, height: float, degrees: float = 360.0) -> Array:
    """Camera centres, evenly spaced from azimuth 0."""
    whole = degrees == 360.0
    azimuth = np.radians(np.linspace(0.0, degrees, count, endpoint=not whole))
    return np.column_stack(
        [radius * np.cos(azimuth), np.full(count, height), radius * np.sin(azimuth)]
    )


def in_frame(center: Array, forward: Array, points: Array) -> npt.NDArray[np.int64]:
    """Indices of the points that fall into the picture of a level-held camera."""
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= max(float(np.linalg.norm(right)), 1e-9)
    down = np.cross(forward, right)
    local = (points - center) @ np.stack([right, down, forward]).T
    depth = np.maximum(local[:, 2], 1e-9)
    inside = (np.abs(local[:, 0]) < HALF_WIDTH * depth) & (
        np.abs(local[:, 1]) < HALF_HEIGHT * depth
    )
    return np.flatnonzero(inside & (local[:, 2] > 0.05))


def region_of(centers: Array, forwards: Array, points: Array) -> Region:
    seen = [in_frame(c, f, points) for c, f in zip(centers, forwards, strict=True)]
    return find_region(centers, forwards, points, seen)


def statue(generator: np.random.Generator, size: tuple[float, float, float], count: int) -> Array:
    """Points in an upright block of width, height, depth, standing on the ground."""
    unit = generator.uniform(-0.5, 0.5, (count, 3))
    return np.asarray((unit + np.array([0.0, 0.5, 0.0])) * size)


def surroundings(generator: np.random.Generator, reach: float) -> Array:
    """Ground out to `reach`, and a ring of houses at 0.8 of it."""
    ground = generator.uniform(-reach, reach, (1500, 3)) * [1.0, 0.0, 1.0]
    azimuth = generator.uniform(0.0, 2 * np.pi, 800)
    houses = np.column_stack(
        [
            0.8 * reach * np.cos(azimuth),
            generator.uniform(0.0, 3.0, 800),
            0.8 * reach * np.sin(azimuth),
        ]
    )
    return np.concatenate([ground, houses])


def orbits() -> dict[str, Array]:
    dome = [circle(12, 2.0, 0.5), circle(8, 1.5, 1.6), circle(4, 0.6, 2.2), circle(1, 0.02, 2.4)]
    return {
        "full circle": circle(24, 2.0, 1.0),
        "eight photos": circle(8, 2.0, 1.0),
        "half orbit": circle(14, 2.0, 1.0, 180.0),
        "two rings": np.concatenate([circle(16, 2.0, 0.6), circle(16, 1.6, 1.8)]),
        "dome": np.concatenate(dome),
    }


@pytest.mark.parametrize("name", list(orbits()))
def test_orbit_keeps_subject_and_its_ground_and_drops_the_rest(name: str) -> None:
    generator = np.random.default_rng(3)
    subject = statue(generator, (0.7, 1.2, 0.5), 1500)
    around = surroundings(generator, 12.0)
    centers = orbits()[name]
    forwards = looking_at(centers, np.array([[0.0, 0.6, 0.0]]))
    region = region_of(centers, forwards, np.concatenate([subject, around]))
    assert region.capture is Capture.ORBIT
    assert region.box is not None
    assert region.box.holds(subject).all()
    foot = np.array([[x, 0.0, z] for x in (-0.6, 0.6) for z in (-0.5, 0.5)])
    assert region.box.holds(foot).all(), "the ground next to the subject"
    far = np.linalg.norm(around[:, [0, 2]], axis=1) > 3.0
    assert not region.box.holds(around[far]).any()


def test_richly_textured_ground_is_no_room() -> None:
    generator = np.random.default_rng(5)
    subject = statue(generator, (0.7, 1.2, 0.5), 1000)
    ground = generator.uniform(-8.0, 8.0, (30_000, 3)) * [1.0, 0.0, 1.0]
    ground[:, 1] = generator.normal(0.0, 0.005, len(ground))
    centers = circle(24, 2.0, 1.0)
    forwards = looking_at(centers, np.array([[0.0, 0.6, 0.0]]))
    region = region_of(centers, forwards, np.concatenate([subject, ground]))
    assert region.capture is Capture.ORBIT
    assert region.box is not None
    assert region.box.holds(subject).all()


def test_thin_top_with_few_points_stays() -> None:
    generator = np.random.default_rng(4)
    body = statue(generator, (0.6, 1.0, 0.6), 1500)
    spike = np.column_stack([np.zeros(4), np.linspace(1.0, 1.5, 4), np.zeros(4)])
    centers = circle(24, 2.0, 1.0)
    forwards = looking_at(centers, np.array([[0.0, 0.5, 0.0]]))
    points = np.concatenate([body, spike, surroundings(generator, 8.0)])
    box = region_of(centers, forwards, points).box
    assert box is not None
    assert box.holds(spike).all()


def test_long_subject_is_kept_to_its_ends() -> None:
    """A bus: its ends are further from the middle than the photographer at its sides."""
    generator = np.random.default_rng(5)
    subject = statue(generator, (12.0, 3.0, 2.5), 3000)
    azimuth = np.linspace(0.0, 2 * np.pi, 32, endpoint=False)
    centers = np.column_stack([9.5 * np.cos(azimuth), np.full(32, 1.6), 5.0 * np.sin(azimuth)])
    forwards = looking_at(centers, centers * [0.4, 0.0, 0.0] + [0.0, 1.5, 0.0])
    points = np.concatenate([subject, surroundings(generator, 40.0)])
    region = region_of(centers, forwards, points)
    assert region.box is not None
    assert region.box.holds(subject).all()


def test_close_ups_that_look_elsewhere_do_not_move_the_centre() -> None:
    generator = np.random.default_rng(6)
    subject = statue(generator, (0.8, 1.2, 0.8), 1500)
    centers = np.concatenate([circle(20, 2.0, 1.0), circle(4, 1.0, 1.0)])
    forwards = looking_at(centers, np.array([[0.0, 0.6, 0.0]]))
    forwards[-4:] = looking_at(centers[-4:], centers[-4:] + np.array([0.7, -0.2, 0.7]))
    points = np.concatenate([subject, surroundings(generator, 9.0)])
    box = region_of(centers, forwards, points).box
    assert box is not None
    middle = (np.array(box.low) + box.high) / 2
    assert np.abs(middle[[0, 2]]).max() < 0.1
    assert box.holds(subject).all()


def facade(generator: np.random.Generator, width: float) -> Array:
    wall = generator.uniform(-0.5, 0.5, (2500, 3)) * [width, 8.0, 0.4] + [0.0, 4.0, 0.0]
    return np.concatenate([wall, generator.uniform(-0.5, 0.5, (600, 3)) * [width, 0.0, 20.0]])


def test_facade_row_stays_whole() -> None:
    generator = np.random.default_rng(7)
    x = np.linspace(-12.0, 12.0, 13)
    centers = np.column_stack([x, np.full(13, 1.6), np.full(13, 10.0)])
    forwards = np.tile([0.0, 0.0, -1.0], (13, 1))
    region = region_of(centers, forwards, facade(generator, 30.0))
    assert (region.capture, region.box) == (Capture.ONE_SIDE, None)


@pytest.mark.parametrize("degrees", [40.0, 80.0, 120.0])
def test_facade_seen_along_an_arc_stays_whole(degrees: float) -> None:
    generator = np.random.default_rng(8)
    azimuth = np.radians(np.linspace(90 - degrees / 2, 90 + degrees / 2, 13))
    centers = np.column_stack([10 * np.cos(azimuth), np.full(13, 1.6), 10 * np.sin(azimuth)])
    forwards = looking_at(centers, np.array([[0.0, 3.0, 0.0]]))
    region = region_of(centers, forwards, facade(generator, 24.0))
    assert (region.capture, region.box) == (Capture.ONE_SIDE, None)


def test_one_stray_photo_from_behind_makes_no_orbit_of_a_facade() -> None:
    generator = np.random.default_rng(9)
    azimuth = np.radians(np.append(np.linspace(40.0, 140.0, 12), 270.0))
    centers = np.column_stack([10 * np.cos(azimuth), np.full(13, 1.6), 10 * np.sin(azimuth)])
    forwards = looking_at(centers, np.array([[0.0, 3.0, 0.0]]))
    assert region_of(centers, forwards, facade(generator, 24.0)).box is None


def room(generator: np.random.Generator, side: float, height: float) -> Array:
    """Points on four walls, the floor and the ceiling, evenly by area."""
    points = generator.uniform(-0.5, 0.5, (6000, 3)) * [side, height, side]
    areas = np.array([side * height] * 4 + [side * side] * 2)
    face = generator.choice(6, len(points), p=areas / areas.sum())
    for index, (axis, sign) in enumerate([(0, -1), (0, 1), (2, -1), (2, 1), (1, -1), (1, 1)]):
        points[face == index, axis] = sign * 0.5 * (height if axis == 1 else side)
    return np.asarray(points + np.array([0.0, height / 2, 0.0]))


def test_room_seen_from_its_middle_stays_whole() -> None:
    generator = np.random.default_rng(10)
    centers = circle(24, 0.5, 1.5)
    forwards = looking_at(centers, centers * [3.0, 1.0, 3.0])
    region = region_of(centers, forwards, room(generator, 6.0, 2.8))
    assert (region.capture, region.box) == (Capture.INSIDE, None)


@pytest.mark.parametrize("furniture", [0, 300])
def test_room_seen_along_its_walls_stays_whole(furniture: int) -> None:
    """Cameras all around that look across the middle, as in an orbit, but at the other wall."""
    generator = np.random.default_rng(11)
    centers = circle(24, 2.7, 1.5)
    forwards = looking_at(centers, np.array([[0.0, 1.3, 0.0]]))
    table = statue(generator, (1.2, 0.8, 1.2), furniture)
    points = np.concatenate([room(generator, 6.0, 2.8), table])
    region = region_of(centers, forwards, points)
    assert (region.capture, region.box) == (Capture.INSIDE, None)


def test_flight_that_looks_straight_down_stays_whole() -> None:
    generator = np.random.default_rng(12)
    x, z = np.meshgrid(np.linspace(-20, 20, 5), np.linspace(-20, 20, 5))
    centers = np.column_stack([x.ravel(), np.full(25, 30.0), z.ravel()])
    forwards = np.tile([1e-3, -1.0, 0.0], (25, 1))
    points = generator.uniform(-0.5, 0.5, (2000, 3)) * [60.0, 4.0, 60.0]
    assert region_of(centers, forwards, points).box is None


def test_too_few_cameras_or_points_decide_nothing() -> None:
    centers = circle(4, 2.0, 1.0)
    forwards = looking_at(centers, np.zeros((1, 3)))
    points = np.random.default_rng(1).uniform(-0.3, 0.3, (500, 3))
    assert region_of(centers, forwards, points).box is None
    centers = circle(20, 2.0, 1.0)
    forwards = looking_at(centers, np.zeros((1, 3)))
    assert region_of(centers, forwards, points[:10]).box is None


def test_box_is_written_and_read_back() -> None:
    box = Box(low=(-1.0, -0.25, -2.0), high=(1.5, 2.0, 2.0))
    assert parse_box(str(box)) == box
    fields = Region(capture=Capture.ORBIT, box=box, circle_deg=360.0).to_json()
    assert json.loads(json.dumps(fields))["box"] == {
        "low": [-1.0, -0.25, -2.0],
        "high": [1.5, 2.0, 2.0],
    }
    inside = box.holds(np.array([[0.0, 0.0, 0.0], [0.0, -0.3, 0.0], [1.5, 2.0, 2.0]]))
    assert inside.tolist() == [True, False, True]
    assert len(np.unique(box.corners(), axis=0)) == 8


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "a,b,c,d,e,f", "0,0,0,1,1,nan", "0,0,0,1,0,1", "1,0,0,0,1,1"]
)
def test_box_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_box(text)
