"""Features that stay in their place while the subject turns, also where it hides them at times.

The masks of `still_background.py` keep all that the subject sweeps over; between its ears the
background still shows. A feature there has the same place, the same direction and the same look
in many photos. One of the subject does not: it moves, or, on the axis, turns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from insaat_cli.engine.colmap.database import Database

Descriptors = npt.NDArray[np.uint8]
Keypoints = npt.NDArray[np.float32]

SAME_PLACE_PX = 2.0
SAME_ANGLE_RAD = 0.2
SAME_LOOK = 0.8
"""Cosine of descriptors."""
DESCRIPTOR_LENGTH_SQUARED = 512.0**2
MAX_WITNESSES = 24
"""Other photos of the tripod that a photo is compared with, spread over the turn."""
MIN_WITNESSES = 2
MIN_WITNESS_SHARE = 0.1
"""A turn in small steps moves a feature near the axis too little from photo to photo."""


def drop_still_features(store: Database, group: Sequence[int]) -> int:
    """Remove from the images `group` (ids, of one tripod) what stays in place; returns how many."""
    features = {key: (store.keypoints(key), store.descriptors(key)) for key in group}
    dropped = 0
    for number, key in enumerate(group):
        keypoints, descriptors = features[key]
        others = [*group[number + 1 :], *group[:number]]
        step = max(1, len(others) // MAX_WITNESSES)
        still = seen_in_place(keypoints, descriptors, [features[other] for other in others[::step]])
        if still.any():
            store.replace_features(key, keypoints[~still], descriptors[~still])
            dropped += int(still.sum())
    return dropped


def seen_in_place(
    keypoints: Keypoints,
    descriptors: Descriptors,
    others: Sequence[tuple[Keypoints, Descriptors]],
) -> npt.NDArray[np.bool_]:
    """Which features (x, y, scale, angle) enough of the `others` show in the same place."""
    witnesses = np.zeros(len(keypoints), int)
    for places, looks in others:
        if not len(places) or not len(keypoints):
            continue
        tree = cKDTree(places[:, :2])
        near = tree.query_ball_point(keypoints[:, :2], SAME_PLACE_PX)
        mine = np.repeat(np.arange(len(near)), [len(one) for one in near])
        theirs = np.array([k for one in near for k in one], int)
        turn = keypoints[mine, 3] - places[theirs, 3]
        turned = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
        product = np.einsum(
            "nd,nd->n", descriptors[mine].astype(np.float32), looks[theirs].astype(np.float32)
        )
        same = (turned < SAME_ANGLE_RAD) & (product > SAME_LOOK * DESCRIPTOR_LENGTH_SQUARED)
        witnesses[np.unique(mine[same])] += 1
    enough = max(MIN_WITNESSES, MIN_WITNESS_SHARE * len(others))
    return np.asarray(witnesses >= enough)
