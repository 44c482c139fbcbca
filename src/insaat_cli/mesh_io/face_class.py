"""Where a face of a mesh comes from."""

from __future__ import annotations

from enum import IntEnum


class FaceClass(IntEnum):
    """Where a face comes from; the numbers stand in `mesh.ply`."""

    MEASURED = 0
    COMPLETED = 1
    """From points that were completed from their surroundings."""
    CLOSED = 2
    """Without points: a hole was closed there."""
