"""Which pixels of a photo are sky.

No learned model: sky is smooth, above the horizon, without reliable depth, reaches the upper end of
the photo, ends in a clear edge, and is blue or brighter than nearly all that is measured. A white
ceiling is smooth and above the horizon, too, but not so bright, or ends level, not far above the
cameras. What the photos of a set say is put together: there is sky in a set, or there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import View
from insaat_cli.engine.stereo.superpixels import Superpixels, components
from insaat_cli.engine.stereo.view_planes import rays_of

Map = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.bool_]
LOW_RISE = 0.1
"""A ceiling would have to be ten times as far away as it is above the camera to be seen so low."""
LOW_SHARE = 0.01
"""Of what may be sky, what must be so low for it to be no ceiling."""
LEVEL_SPREAD = 0.08
"""Heights above ground that differ by less than this share of it are level."""
CEILING_HEIGHT = 3.0
"""A ceiling is not this many times as high above the floor as the cameras."""


@dataclass(frozen=True, kw_only=True)
class SkyRule:
    """What counts as sky."""

    roughness: float = 5.0
    """Standard deviation of lightness (0 to 255) within a piece: clouds are smoother."""
    colored_share: float = 0.6
    """Of a piece's pixels, how many must have the color of sky."""
    saturated: float = 248.0
    """Lightness of what is brighter than the camera can tell."""
    measured_share: float = 0.8
    """Of a piece, what may have reliable depth: that of an edge spreads into the sky beside it."""
    seed_measured_share: float = 0.05
    """The same for the pieces from which sky grows."""
    lowest_rise: float = -0.01
    """Tangent of a ray's angle above the horizon, at least; the horizon itself is not that sure."""
    seed_rise: float = 0.03
    """The same for the pieces from which sky grows."""
    join_contrast: float = 9.0
    """Pieces of sky that touch differ by less, in units of CIELAB."""
    edge_contrast: float = 14.0
    """Sky ends in edges of at least this contrast."""
    clear_edge_share: float = 0.6
    """Of its border, by length, so much must be a clear edge."""
    least_share: float = 0.002
    """Of a photo: less is not worth to be called sky."""
    wire_px: int = 4
    """Wires and branches across the sky are thinner together, along a line upwards."""
    covered_share: float = 0.4
    """Of a piece of sky, so much may lie below something else."""
    island_share: float = 0.01
    """Of a piece of sky, so much may be measured within: more is windows in a wall."""
    blue: float = 6.0
    """CIELAB b below neutral by so much is blue."""
    bright_gain: float = 12.0
    """Lightness above that of nearly all that is measured, at which pale sky is sky."""
    bright_percentile: float = 85.0
    gap_contrast: float = 18.0
    gap_px: int = 6
    """Beside pieces of sky, so far, pixels of about its color that touch it are sky, too."""


@dataclass(frozen=True, kw_only=True)
class SkyGuess:
    """What one photo shows that may be sky."""

    pixels: Pixels
    """(height, width)."""
    share: float
    """Of the photo."""
    blue: bool
    bright: bool
    low_share: float
    """Of it, what is seen nearly level."""
    edge_heights: Map
    """World heights of what is measured beside its border."""


def guess_sky(
    view: View, rgb: npt.NDArray[np.uint8], pieces: Superpixels, reliable: Map, rule: SkyRule
) -> SkyGuess:
    """What may be sky in one photo; `reliable` is depth, 0 where it is not."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    light = lab[..., 0]
    usual, middle = 255.0, 255.0
    if (reliable > 0).any():
        usual, middle = np.percentile(light[reliable > 0], [rule.bright_percentile, 50])
    bright = light > min(usual + rule.bright_gain, rule.saturated)
    blue = (lab[..., 2] < 128 - rule.blue) & (light > middle)
    rise = pieces.means(rises(view))
    candidate = pieces.means((bright | blue).astype(np.float32)) > rule.colored_share
    measured = pieces.means((reliable > 0).astype(np.float32))
    candidate &= (measured < rule.measured_share) & (rise > rule.lowest_rise)
    seeds = pieces.means(light**2) - pieces.means(light) ** 2 < rule.roughness**2
    seeds &= (measured < rule.seed_measured_share) & (rise > rule.seed_rise)
    seeds &= _at_upper_end(pieces, rise)
    found = _grown(pieces, candidate, seeds, rule)
    found = _open_above(view, pieces, found, reliable > 0, rule)
    share = float(pieces.area[found].sum() / pieces.area.sum())
    if share < rule.least_share:
        found[:] = False
    weight = pieces.area * found
    total = max(float(weight.sum()), 1.0)
    return SkyGuess(
        pixels=_pixels(pieces, found, lab, bright | blue, rule),
        share=share,
        blue=bool((weight * pieces.means(blue.astype(np.float32))).sum() > 0.5 * total),
        bright=bool((weight * pieces.means(bright.astype(np.float32))).sum() > 0.5 * total),
        low_share=float((weight * (rise < LOW_RISE)).sum() / total),
        edge_heights=_heights_beside(view, pieces, found, reliable),
    )


def rises(view: View) -> Map:
    """(height, width): tangent of every ray's angle above the horizon."""
    x, y = rays_of(view)
    up, east, north = (view.R[:, axis].astype(np.float32) for axis in (1, 0, 2))
    climbs, along, across = (
        axis[0] * x[None] + axis[1] * y[:, None] + axis[2] for axis in (up, east, north)
    )
    return np.asarray(climbs / np.maximum(np.hypot(along, across), 1e-6), np.float32)


def _pixels(
    pieces: Superpixels, found: npt.NDArray[np.bool_], lab: Map, colored: Pixels, rule: SkyRule
) -> Pixels:
    """Sky as fine as its color tells: masts stay out, and gaps between chimneys come in."""
    inside = found[pieces.labels]
    if not inside.any():
        return inside
    size = (2 * rule.gap_px + 1, 2 * rule.gap_px + 1)
    near = cv2.blur(inside.astype(np.float32), size)
    local = cv2.blur(np.where(inside[..., None], lab, 0), size) / np.maximum(near, 1e-6)[..., None]
    alike = np.square(lab - local).sum(axis=2) < rule.gap_contrast**2
    colored = colored & alike & (near > 0.5 / (size[0] * size[1]))
    _, parts = cv2.connectedComponents(colored.astype(np.uint8), connectivity=4)
    joined = np.zeros(int(parts.max()) + 1, bool)
    joined[parts[inside & colored]] = True
    joined[0] = False
    return np.asarray(joined[parts])


def _at_upper_end(pieces: Superpixels, rise: Map) -> npt.NDArray[np.bool_]:
    """Pieces at the photo's border above the middle of the photo's own range of heights."""
    border = np.zeros(pieces.count, bool)
    labels = pieces.labels
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[line] = True
    return np.asarray(border & (rise > np.median(rise)))


def _grown(
    pieces: Superpixels,
    candidate: npt.NDArray[np.bool_],
    seeds: npt.NDArray[np.bool_],
    rule: SkyRule,
) -> npt.NDArray[np.bool_]:
    """Candidates connected to a seed over soft borders, group by group with a clear edge around."""
    first, second = pieces.pairs[:, 0], pieces.pairs[:, 1]
    soft = candidate[first] & candidate[second] & (pieces.contrast < rule.join_contrast)
    group = components(pieces.count, pieces.pairs[soft])
    reached = np.zeros(pieces.count, bool)
    reached[np.unique(group[candidate & seeds])] = True
    inside = candidate & reached[group]
    # where two groups touch is no edge of the sky
    edge = inside[first] != inside[second]
    whose = np.where(inside[first], group[first], group[second])[edge]
    length = np.bincount(whose, pieces.length[edge], minlength=pieces.count)
    clear = np.bincount(
        whose,
        pieces.length[edge] * (pieces.contrast[edge] >= rule.edge_contrast),
        minlength=pieces.count,
    )
    good = clear >= rule.clear_edge_share * length
    return np.asarray(inside & good[group])


def _open_above(
    view: View,
    pieces: Superpixels,
    found: npt.NDArray[np.bool_],
    measured: Pixels,
    rule: SkyRule,
) -> npt.NDArray[np.bool_]:
    """Groups that nothing stands above, and that nothing measured lies within.

    A pale wall ends at its roof and has windows in it; sky does not.
    """
    soft = found[pieces.pairs].all(axis=1) & (pieces.contrast < rule.join_contrast)
    group = components(pieces.count, pieces.pairs[soft])
    inside = found[pieces.labels]
    # image axis along which the photo's upright runs, turned so that up is the first row
    sideways, upwards = view.R[0, 1], view.R[1, 1]
    turns = (
        (0 if upwards < 0 else 2) if abs(upwards) >= abs(sideways) else (1 if sideways > 0 else 3)
    )
    over = np.rot90(np.cumsum(np.rot90(~inside, turns), axis=0), -turns)
    of_pixel = group[pieces.labels]
    area = np.bincount(of_pixel[inside], minlength=pieces.count)
    under = np.bincount(of_pixel[inside & (over > rule.wire_px)], minlength=pieces.count)
    good = under <= rule.covered_share * area
    for number in np.unique(group[found]):
        if good[number]:
            islands = _holes(inside & (of_pixel == number)) & measured
            good[number] = islands.sum() <= rule.island_share * area[number]
    return np.asarray(found & good[group])


def _holes(pixels: Pixels) -> Pixels:
    """What `pixels` enclose."""
    _, parts = cv2.connectedComponents((~pixels).astype(np.uint8), connectivity=4)
    edge = [parts[0], parts[-1], parts[:, 0], parts[:, -1]]
    outside = np.zeros(int(parts.max()) + 1, bool)
    outside[np.concatenate(edge)] = True
    outside[0] = True
    return np.asarray(~outside[parts])


def _heights_beside(
    view: View, pieces: Superpixels, found: npt.NDArray[np.bool_], reliable: Map
) -> Map:
    first, second = pieces.pairs[:, 0], pieces.pairs[:, 1]
    edge = found[first] != found[second]
    beside = np.unique(np.where(found[first], second, first)[edge])
    marked = np.zeros(pieces.count, bool)
    marked[beside] = True
    v, u = np.nonzero(marked[pieces.labels] & (reliable > 0))
    x, y = rays_of(view)
    z = reliable[v, u]
    local = np.column_stack([x[u] * z, y[v] * z, z]) - view.t
    return np.asarray(local @ view.R[:, 1], np.float32)


def set_has_sky(guesses: Sequence[SkyGuess], camera_heights: Map, floor: float) -> bool:
    """Whether what the photos of one set may show of a sky is sky.

    `floor` is the height of the ground. Pale "sky" that ends level, and not far above the cameras,
    all around is a ceiling.
    """
    found = [guess for guess in guesses if guess.share > 0]
    if not found:
        return False
    area = np.array([guess.share for guess in found])
    if float(area @ np.array([guess.blue for guess in found])) > 0.5 * float(area.sum()):
        return True
    if float(area @ np.array([guess.low_share for guess in found])) > LOW_SHARE * area.sum():
        return True
    heights = np.concatenate([guess.edge_heights for guess in found])
    if not len(heights):
        return True
    low, middle, high = np.percentile(heights, [40, 70, 95])
    stand = max(float(np.median(camera_heights)) - floor, 1e-9)
    level = high - low < LEVEL_SPREAD * (middle - floor)
    return not (level and middle - floor < CEILING_HEIGHT * stand)
