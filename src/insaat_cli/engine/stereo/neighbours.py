"""Which views a view is compared with: they see the same points under a useful angle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from insaat_cli.engine.scene.views import Floats, Scene

FAVOURED_ANGLES_DEG = (6.0, 18.0)
"""Between these triangulation angles depth is measured well and patches still look alike."""
ANGLE_FALL_OFF_DEG = 12.0
SAME_DIRECTION = 0.5
"""Share of its score that a neighbour keeps if it lies right behind one already chosen."""
MIN_SHARED_POINTS = 8
MIN_DEPTH_POINTS = 6


def select_neighbours(scene: Scene, count: int) -> list[list[int]]:
    """For every view up to `count` others to match it with, best first.

    A shared sparse point counts by its triangulation angle and by how alike its size is in the two
    photos; a neighbour in the direction of one already chosen counts less.
    """
    centres = np.array([view.center for view in scene.views])
    member = np.zeros((len(scene.views), len(scene.points)), bool)
    for index, rows in enumerate(scene.seen):
        member[index, rows] = True
    return [_neighbours_of(scene, index, count, centres, member) for index in range(len(centres))]


def _neighbours_of(
    scene: Scene, index: int, count: int, centres: Floats, member: npt.NDArray[np.bool_]
) -> list[int]:
    mine = scene.seen[index]
    if not len(mine):
        return []
    points = scene.points[mine]
    to_me = centres[index] - points
    my_distance = np.linalg.norm(to_me, axis=1)
    scores = np.zeros(len(centres))
    for other in range(len(centres)):
        shared = member[other, mine]
        if other == index or np.count_nonzero(shared) < MIN_SHARED_POINTS:
            continue
        to_other = centres[other] - points[shared]
        distance = np.linalg.norm(to_other, axis=1)
        cosine = np.einsum("ij,ij->i", to_me[shared], to_other) / (my_distance[shared] * distance)
        angle_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        ratio = my_distance[shared] * scene.views[other].K[0, 0] / scene.views[other].width
        ratio /= distance * scene.views[index].K[0, 0] / scene.views[index].width
        likeness = np.minimum(ratio, 1 / ratio) ** 2
        scores[other] = float(np.sum(angle_weight(angle_deg) * likeness))
    return _pick_spread(scores, centres - centres[index], count)


def angle_weight(angle_deg: Floats) -> Floats:
    """1 between the favoured angles, falling to 0 at angle 0 and for wide angles."""
    low, high = FAVOURED_ANGLES_DEG
    rising = np.clip(angle_deg / low, 0, 1) ** 2
    falling = np.exp(-((np.maximum(angle_deg - high, 0) / ANGLE_FALL_OFF_DEG) ** 2))
    return np.asarray(rising * falling)


def _pick_spread(scores: Floats, offsets: Floats, count: int) -> list[int]:
    directions = offsets / np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
    left = scores.copy()
    chosen: list[int] = []
    while len(chosen) < count and left.max(initial=0.0) > 0:
        best = int(np.argmax(left))
        chosen.append(best)
        left[best] = 0
        alike = np.clip(directions @ directions[best], 0, 1) ** 2
        left *= 1 - (1 - SAME_DIRECTION) * alike
    return chosen


def depth_range(scene: Scene, index: int) -> tuple[float, float]:
    """(near, far) depth of the sparse points that view `index` saw, without their outliers."""
    view = scene.views[index]
    depth = scene.points[scene.seen[index]] @ view.R[2] + view.t[2]
    depth = depth[depth > 0]
    if len(depth) < MIN_DEPTH_POINTS:
        every = scene.points @ view.R[2] + view.t[2]
        depth = every[every > 0]
    if not len(depth):
        return 0.1, 10.0
    near, far = np.percentile(depth, [0.5, 99.5])
    return float(near), float(far)
