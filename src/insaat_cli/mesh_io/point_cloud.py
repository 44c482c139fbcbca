"""An oriented, colored point cloud."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """An oriented, colored point cloud in the world frame."""

    points: Map
    """(N, 3)."""
    normals: Map
    """(N, 3), unit, towards the cameras."""
    colors: npt.NDArray[np.uint8]
    """(N, 3) RGB."""
    completed: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """(N,) which points were completed from their surroundings rather than measured.

    Left out: none was.
    """

    def __post_init__(self) -> None:
        if not len(self.completed):
            object.__setattr__(self, "completed", np.zeros(len(self.points), bool))

    def only(self, keep: npt.NDArray[np.bool_]) -> Cloud:
        """The points where `keep` (N,) is true."""
        return Cloud(
            points=self.points[keep],
            normals=self.normals[keep],
            colors=self.colors[keep],
            completed=self.completed[keep],
        )

    def joined(self, other: Cloud) -> Cloud:
        """The points of both, these first."""
        return Cloud(
            points=np.concatenate([self.points, other.points]),
            normals=np.concatenate([self.normals, other.normals]),
            colors=np.concatenate([self.colors, other.colors]),
            completed=np.concatenate([self.completed, other.completed]),
        )
