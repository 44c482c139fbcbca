"""Small pieces of a photo that hold to its color edges, and which of them touch.

Watershed from one marker a grid cell (Machairas et al. 2015, waterpixels): pieces of about one size
whose borders lie on color edges where there are any.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Labels = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

BLUR_PX = 1.0
ACROSS_PX = 2
"""How far from a border colors on its two sides are compared: edges are that soft."""


@dataclass(frozen=True, kw_only=True)
class Superpixels:
    """A photo in S pieces and M borders between them."""

    labels: Labels
    """(height, width): which piece a pixel belongs to."""
    area: Floats
    """(S,) in pixels."""
    pairs: Labels
    """(M, 2): pieces that touch, the smaller number first."""
    length: Floats
    """(M,): length of their border in pixels."""
    contrast: Floats
    """(M,): mean difference of color across it, in units of CIELAB."""
    middle: Floats
    """(M, 2): where their border is, column and row."""

    @property
    def count(self) -> int:
        return len(self.area)

    def centers(self) -> Floats:
        """(S, 2): mean column and row of every piece."""
        rows, columns = self.labels.shape
        u = np.broadcast_to(np.arange(columns, dtype=np.float32), self.labels.shape)
        v = np.broadcast_to(np.arange(rows, dtype=np.float32)[:, None], self.labels.shape)
        return np.column_stack([self.means(u), self.means(v)])

    def means(self, values: Floats) -> Floats:
        """(S,): mean over every piece of what is (height, width)."""
        total = np.bincount(self.labels.ravel(), values.ravel(), minlength=self.count)
        return np.asarray(total / self.area, np.float32)


def superpixels(rgb: npt.NDArray[np.uint8], side_px: int) -> Superpixels:
    """Cut a photo into pieces of about `side_px` x `side_px` pixels."""
    smooth = cv2.GaussianBlur(rgb, (0, 0), BLUR_PX)
    lab = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.uint8)
    flooded = np.asarray(cv2.watershed(smooth, _markers(lab, side_px)), np.int32)
    labels, count = _numbered(_unbroken(flooded))
    pairs, length, contrast, middle = _borders(labels, lab, count)
    area = np.bincount(labels.ravel(), minlength=count).astype(np.float32)
    return Superpixels(
        labels=labels, area=area, pairs=pairs, length=length, contrast=contrast, middle=middle
    )


def _markers(lab: npt.NDArray[np.uint8], side_px: int) -> Labels:
    """One pixel a grid cell, where color changes least; numbered from 1."""
    light = lab[..., 0].astype(np.float32)
    change = np.abs(cv2.Sobel(light, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(light, cv2.CV_32F, 0, 1))
    height, width = light.shape
    markers = np.zeros((height, width), np.int32)
    _place_markers(change, side_px, markers)
    return markers


@njit(nogil=True, cache=True)
def _place_markers(change, side, markers):  # type: ignore[no-untyped-def]
    rows, columns = change.shape
    number = 0
    for top in range(0, rows, side):
        for left in range(0, columns, side):
            bottom, right = min(top + side, rows), min(left + side, columns)
            best_v, best_u = (top + bottom) // 2, (left + right) // 2
            # the middle half of the cell: pieces of about one size
            for v in range(top + side // 4, min(top + side - side // 4, rows)):
                for u in range(left + side // 4, min(left + side - side // 4, columns)):
                    if change[v, u] < change[best_v, best_u]:
                        best_v, best_u = v, u
            number += 1
            markers[best_v, best_u] = number


@njit(nogil=True, cache=True)
def _unbroken(flooded):  # type: ignore[no-untyped-def]
    """Pieces from 0 on; the lines that watershed draws between them go to a piece beside them."""
    rows, columns = flooded.shape
    labels = flooded - 1
    for _ in range(4):
        missing = 0
        before = labels.copy()
        for v in range(rows):
            for u in range(columns):
                if before[v, u] >= 0:
                    continue
                found = -1
                if u > 0 and before[v, u - 1] >= 0:
                    found = before[v, u - 1]
                elif v > 0 and before[v - 1, u] >= 0:
                    found = before[v - 1, u]
                elif u + 1 < columns and before[v, u + 1] >= 0:
                    found = before[v, u + 1]
                elif v + 1 < rows and before[v + 1, u] >= 0:
                    found = before[v + 1, u]
                labels[v, u] = found
                missing += found < 0
        if missing == 0:
            break
    return np.maximum(labels, 0)


def _numbered(labels: Labels) -> tuple[Labels, int]:
    """Labels without gaps, and how many there are."""
    there = np.bincount(labels.ravel()) > 0
    numbers = np.cumsum(there, dtype=np.int32) - 1
    return np.asarray(numbers[labels], np.int32), int(there.sum())


def _borders(
    labels: Labels, lab: npt.NDArray[np.uint8], count: int
) -> tuple[Labels, Floats, Floats, Floats]:
    keys, contrasts, places = [], [], []
    for axis in (0, 1):
        first = [slice(None), slice(None)]
        second = [slice(None), slice(None)]
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        one, other = labels[tuple(first)], labels[tuple(second)]
        v, u = np.nonzero(one != other)
        a, b = one[v, u].astype(np.int64), other[v, u].astype(np.int64)
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        step = ACROSS_PX if axis == 0 else 0, 0 if axis == 0 else ACROSS_PX
        rows, columns = labels.shape
        before = lab[np.maximum(v - step[0], 0), np.maximum(u - step[1], 0)].astype(np.float32)
        after = lab[np.minimum(v + step[0], rows - 1), np.minimum(u + step[1], columns - 1)]
        contrasts.append(np.linalg.norm(before - after, axis=1))
        places.append(np.column_stack([u, v]))
    unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    length = np.bincount(inverse).astype(np.float32)
    contrast = np.bincount(inverse, np.concatenate(contrasts)) / length
    place = np.concatenate(places)
    middle = np.column_stack([np.bincount(inverse, place[:, axis]) / length for axis in (0, 1)])
    pairs = np.column_stack([unique // count, unique % count]).astype(np.int32)
    return pairs, length, contrast.astype(np.float32), middle.astype(np.float32)


def components(count: int, links: Labels) -> npt.NDArray[np.int64]:
    """(count,): number of the group that every piece is in by the (L, 2) links between them."""
    graph = coo_matrix((np.ones(len(links), bool), (links[:, 0], links[:, 1])), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
