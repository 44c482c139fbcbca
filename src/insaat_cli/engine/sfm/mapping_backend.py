"""What structure from motion needs from COLMAP, whichever COLMAP is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from insaat_cli.engine.colmap.model import Model
from insaat_cli.engine.sfm.bundle_adjustment import Free

SEED = 1
MIN_MODEL_PHOTOS = 3
MAPPER: dict[str, float] = {
    "min_model_size": MIN_MODEL_PHOTOS,
    "max_num_models": 10,
    "ba_global_max_refinements": 2,
}
"""What differs from COLMAP's own settings, under its names."""
FORGIVING: dict[str, float] = {
    "min_num_matches": 10,
    "init_min_num_inliers": 50,
    "init_min_tri_angle": 6.0,
    "abs_pose_min_num_inliers": 15,
    "abs_pose_min_inlier_ratio": 0.15,
}
"""And what differs further where weaker pairs and smaller angles are to be taken."""


NamePair = tuple[str, str]
"""Two photos by their names in the database."""


def write_pairs(path: Path, pairs: Sequence[NamePair]) -> Path:
    """Write COLMAP's list of pairs to `path`."""
    path.write_text("\n".join(" ".join(pair) for pair in pairs), encoding="utf-8")
    return path


class MappingBackend(Protocol):
    """COLMAP in one form or another. Folders called scratch belong to the call."""

    name: str

    def match(
        self,
        database: Path,
        pairs: Sequence[NamePair],
        *,
        threads: int,
        progress: Callable[[float], None],
    ) -> None:
        """Match and verify `pairs` in `database`, and tell the share of them that is done."""

    def map_incrementally(
        self,
        database: Path,
        images: Path,
        scratch: Path,
        *,
        threads: int,
        forgiving: bool,
        on_image: Callable[[], None],
    ) -> list[Model]:
        """Models by incremental mapping, the largest first; none where nothing fits."""

    def map_globally(
        self, database: Path, images: Path, scratch: Path, *, threads: int
    ) -> list[Model] | None:
        """Models by global mapping; may change `database`. None where this COLMAP cannot."""

    def adjust(self, model: Model, scratch: Path, free: Free, *, threads: int) -> Model:
        """`model` after a bundle adjustment of poses, points and what is `free` of intrinsics."""
