"""What stands in the test room: pieces of furniture as solids with a material, in metres."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from insaat_cli.scenes.solids import Part, Vector, box, cylinder, ellipsoid, round_cone

WHITE: Vector = (0.90, 0.90, 0.88)
OAK: Vector = (0.62, 0.44, 0.28)
WALNUT: Vector = (0.36, 0.23, 0.15)
BEECH: Vector = (0.74, 0.57, 0.39)
BLUE_GREY: Vector = (0.33, 0.40, 0.47)
MUSTARD: Vector = (0.76, 0.55, 0.18)
STEEL: Vector = (0.55, 0.55, 0.56)
CREAM: Vector = (0.84, 0.81, 0.73)
LINEN: Vector = (0.84, 0.79, 0.70)
CLAY: Vector = (0.66, 0.38, 0.27)
SPINES: tuple[Vector, ...] = (
    (0.55, 0.16, 0.13), (0.15, 0.24, 0.42), (0.80, 0.72, 0.52), (0.16, 0.34, 0.24),
    (0.86, 0.84, 0.78), (0.14, 0.13, 0.14), (0.78, 0.47, 0.16), (0.42, 0.23, 0.38),
)  # fmt: skip


class Material(IntEnum):
    """What a surface is made of: `room_shading.py` paints it."""

    PLAIN = 0
    """Plaster or lacquer: next to no texture."""
    PLANKS = 1
    WOOD = 2
    VENEER = 3
    """Wood so smooth that its grain is hardly seen."""
    FABRIC = 4
    BOOK = 5
    PICTURE = 6


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One solid of the room."""

    part: Part
    material: Material
    shadow: bool = True
    """Whether it is large enough to take light from others."""


def _of(material: Material, part: Part, *, shadow: bool = True) -> Piece:
    return Piece(part=part, material=material, shadow=shadow)


def table(x: float, y: float) -> Iterator[Piece]:
    """A dining table of beech around (x, y)."""
    yield _of(Material.VENEER, box((x, y, 0.735), (1.5, 0.85, 0.03), tint=BEECH))
    for i in (-1, 1):
        yield _of(Material.WOOD, box((x, y + 0.34 * i, 0.67), (1.3, 0.02, 0.10), tint=BEECH))
        for j in (-1, 1):
            place = (x + 0.69 * j, y + 0.36 * i, 0.36)
            yield _of(Material.WOOD, box(place, (0.06, 0.06, 0.72), tint=BEECH))


def chair(x: float, y: float, facing: int) -> Iterator[Piece]:
    """A chair; all are alike. `facing` is 1 if who sits on it looks along +y, else -1."""
    yield _of(Material.FABRIC, box((x, y, 0.455), (0.42, 0.42, 0.05), tint=MUSTARD))
    for i in (-1, 1):
        back = (x + 0.19 * i, y - 0.20 * facing, 0.45)
        front = (x + 0.19 * i, y + 0.18 * facing, 0.215)
        yield _of(Material.WOOD, box(back, (0.035, 0.035, 0.90), tint=WALNUT))
        yield _of(Material.WOOD, box(front, (0.035, 0.035, 0.43), tint=WALNUT))
    for z in (0.60, 0.72, 0.84):
        place = (x, y - 0.20 * facing, z)
        yield _of(Material.WOOD, box(place, (0.345, 0.018, 0.07), tint=WALNUT), shadow=False)


def sofa(x: float, y: float) -> Iterator[Piece]:
    """A sofa whose back stands along +x, around (x, y)."""
    fabric = Material.FABRIC
    yield _of(fabric, box((x, y, 0.21), (0.90, 2.0, 0.26), tint=BLUE_GREY))
    yield _of(fabric, box((x + 0.36, y, 0.55), (0.18, 2.0, 0.60), tint=BLUE_GREY))
    for i in (-1, 1):
        yield _of(fabric, box((x, y + 0.94 * i, 0.40), (0.90, 0.14, 0.42), tint=BLUE_GREY))
        seat = (x - 0.08, y + 0.435 * i, 0.40)
        yield _of(fabric, box(seat, (0.70, 0.85, 0.14), tint=BLUE_GREY))
        yield _of(fabric, ellipsoid((x + 0.16, y + 0.62 * i, 0.62), (0.10, 0.22, 0.20),
                                    tint=MUSTARD if i > 0 else LINEN))  # fmt: skip
        for j in (-1, 1):
            foot = (x + 0.36 * j, y + 0.86 * i, 0.04)
            yield _of(Material.WOOD, box(foot, (0.06, 0.06, 0.08), tint=WALNUT), shadow=False)


def shelf(x: float, y: float, rng: np.random.Generator) -> Iterator[Piece]:
    """A bookshelf whose back stands along -x, around (x, y), with books."""
    depth, width, height = 0.28, 1.2, 1.95
    for i in (-1, 1):
        side = (x, y + (width / 2 - 0.012) * i, height / 2)
        yield _of(Material.PLAIN, box(side, (depth, 0.024, height), tint=WHITE))
    back = (x - depth / 2 + 0.005, y, height / 2)
    yield _of(Material.PLAIN, box(back, (0.01, width - 0.048, height), tint=WHITE))
    boards = np.linspace(0.06, height - 0.012, 6)
    for number, z in enumerate(boards):
        board = box((x + 0.005, y, float(z)), (depth - 0.01, width - 0.048, 0.022), tint=WHITE)
        yield _of(Material.PLAIN, board)
        if number < len(boards) - 1:
            yield from _books(x, y - width / 2 + 0.03, y + width / 2 - 0.03, float(z) + 0.011, rng)


def _books(
    x: float, start: float, end: float, z: float, rng: np.random.Generator
) -> Iterator[Piece]:
    """A row of books from y = `start` on, with gaps where some were taken out."""
    place = start
    while place < end - 0.06:
        if rng.random() < 0.05:
            place += rng.uniform(0.05, 0.18)
            continue
        thick, tall, deep = (
            rng.uniform(0.018, 0.05),
            rng.uniform(0.19, 0.30),
            rng.uniform(0.15, 0.21),
        )
        centre = (x - 0.12 + deep / 2, place + thick / 2, z + tall / 2)
        tint = SPINES[int(rng.integers(len(SPINES)))]
        if place + thick < end:
            yield _of(Material.BOOK, box(centre, (deep, thick - 0.001, tall), tint=tint),
                      shadow=False)  # fmt: skip
        place += thick


def sideboard(x: float, y: float) -> Iterator[Piece]:
    """A low cupboard whose back stands along -y, with a vase, a bowl and a few books on top."""
    yield _of(Material.WOOD, box((x, y, 0.40), (1.5, 0.42, 0.64), tint=WALNUT))
    for i in (-1, 0, 1):
        front = (x + 0.49 * i, y + 0.218, 0.40)
        yield _of(Material.WOOD, box(front, (0.48, 0.018, 0.60), tint=OAK), shadow=False)
        knob = (x + 0.49 * i + 0.2, y + 0.235, 0.50)
        yield _of(Material.PLAIN, box(knob, (0.02, 0.02, 0.10), tint=STEEL), shadow=False)
    for i in (-1, 1):
        foot = (x + 0.68 * i, y, 0.04)
        yield _of(Material.PLAIN, box(foot, (0.04, 0.36, 0.08), tint=STEEL), shadow=False)
    yield _of(Material.FABRIC, round_cone((x - 0.5, y, 0.80), (x - 0.5, y, 0.98), (0.085, 0.04),
                                          tint=CLAY))  # fmt: skip
    for number, tint in enumerate(SPINES[:3]):
        level = (x + 0.45, y - 0.02 + 0.01 * number, 0.735 + 0.03 * number)
        yield _of(Material.BOOK, box(level, (0.26 - 0.02 * number, 0.19, 0.03), tint=tint),
                  shadow=False)  # fmt: skip


def picture(centre: Vector, width: float, height: float, *, wall: str) -> Iterator[Piece]:
    """A framed picture on the wall that lies towards `wall`, one of "+x", "-x", "+y", "-y"."""
    along, sign = wall[1], -1 if wall[0] == "+" else 1
    out = (sign, 0) if along == "x" else (0, sign)

    def slab(across: float, up: float, size: tuple[float, float], deep: float, tint: Vector,
             material: Material) -> Piece:  # fmt: skip
        x = centre[0] + out[0] * deep / 2 + (across if along == "y" else 0.0)
        y = centre[1] + out[1] * deep / 2 + (across if along == "x" else 0.0)
        edges = (deep, size[0], size[1]) if along == "x" else (size[0], deep, size[1])
        part = box((x, y, centre[2] + up), edges, tint=tint)
        return _of(material, part, shadow=False)

    yield slab(0, 0, (width, height), 0.012, WHITE, Material.PICTURE)
    for i in (-1, 1):
        yield slab(i * width / 2, 0, (0.03, height + 0.03), 0.025, WALNUT, Material.WOOD)
        yield slab(0, i * height / 2, (width - 0.03, 0.03), 0.025, WALNUT, Material.WOOD)


def door(x: float, y: float) -> Iterator[Piece]:
    """A white door with four panels in the wall towards -y, whose face lies at `y`."""
    yield _of(Material.PLAIN, box((x, y + 0.008, 1.0), (0.86, 0.016, 2.0), tint=CREAM))
    for i in (-1, 1):
        post = (x + 0.47 * i, y + 0.015, 1.03)
        yield _of(Material.PLAIN, box(post, (0.08, 0.030, 2.06), tint=CREAM), shadow=False)
        stile = (x + 0.375 * i, y + 0.012, 1.0)
        yield _of(Material.PLAIN, box(stile, (0.11, 0.024, 2.0), tint=CREAM), shadow=False)
    lintel = (x, y + 0.015, 2.05)
    yield _of(Material.PLAIN, box(lintel, (0.86, 0.030, 0.08), tint=CREAM), shadow=False)
    for z, tall in ((0.11, 0.22), (0.95, 0.16), (1.93, 0.14)):
        yield _of(Material.PLAIN, box((x, y + 0.012, z), (0.64, 0.024, tall), tint=CREAM),
                  shadow=False)  # fmt: skip
    for z, tall in ((0.545, 0.65), (1.445, 0.83)):
        yield _of(Material.PLAIN, box((x, y + 0.012, z), (0.09, 0.024, tall), tint=CREAM),
                  shadow=False)  # fmt: skip
    yield _of(Material.PLAIN, box((x + 0.37, y + 0.05, 1.02), (0.02, 0.06, 0.02), tint=STEEL),
              shadow=False)  # fmt: skip
    yield _of(Material.PLAIN, box((x + 0.32, y + 0.075, 1.02), (0.12, 0.016, 0.022), tint=STEEL),
              shadow=False)  # fmt: skip


def radiator(x: float, y: float) -> Iterator[Piece]:
    """A radiator of equal ribs before the wall towards +y."""
    for number in range(12):
        rib = (x - 0.55 + 0.10 * number, y, 0.42)
        yield _of(Material.PLAIN, box(rib, (0.075, 0.09, 0.56), tint=WHITE), shadow=False)
    yield _of(Material.PLAIN, box((x, y + 0.01, 0.42), (1.15, 0.04, 0.50), tint=WHITE),
              shadow=False)  # fmt: skip


def lamp(x: float, y: float, ceiling: float) -> Iterator[Piece]:
    """A lampshade on a rod over the table."""
    yield _of(Material.FABRIC, cylinder((x, y, ceiling - 0.62), 0.21, 0.24, tint=LINEN))
    rod = round_cone((x, y, ceiling - 0.5), (x, y, ceiling - 0.012), (0.012, 0.012), tint=STEEL)
    yield _of(Material.PLAIN, rod, shadow=False)
