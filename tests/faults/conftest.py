"""Photo sets that are rendered once for all fault tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from insaat_cli.scenes import Subject, make_photo_set


@pytest.fixture(scope="session")
def statue_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photos of a statue that fit together. Do not write into this folder."""
    folder = tmp_path_factory.mktemp("statue-photos")
    return make_photo_set(folder, photos=8, width=640, height=480, arc=150).images


@pytest.fixture(scope="session")
def vase_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos of something else, elsewhere. Do not write into this folder."""
    folder = tmp_path_factory.mktemp("vase-photos")
    truth = make_photo_set(
        folder, photos=5, width=640, height=480, arc=100, subject=Subject.VASE, seed=9,
        prefix="VASE_",
    )  # fmt: skip
    return truth.images


@pytest.fixture
def photos(statue_photos: Path, tmp_path: Path) -> Path:
    """A copy of the statue's photos, for the test to spoil."""
    return Path(shutil.copytree(statue_photos, tmp_path / "photos"))
