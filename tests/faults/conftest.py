"""Photo sets that are rendered once for all fault tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from insaat_cli.scenes import Subject, make_photo_set
from tests.made_once import made_once

from .harness import Undisturbed, reconstruct


@pytest.fixture(scope="session")
def statue_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photos of a statue that fit together. Do not write into this folder."""
    folder = made_once(
        tmp_path_factory,
        "statue",
        lambda folder: make_photo_set(folder, photos=8, width=640, height=480, arc=150),
    )
    return folder / "images"


@pytest.fixture(scope="session")
def undisturbed(statue_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    def make(folder: Path) -> None:
        outcome = reconstruct(statue_photos, folder / "out")
        outcome.expect(0)
        (folder / "events").write_text(outcome.stdout, encoding="utf-8")

    folder = made_once(tmp_path_factory, "undisturbed", make)
    told = (folder / "events").read_text(encoding="utf-8").splitlines()
    return Undisturbed(workspace=folder / "out", events=[json.loads(line) for line in told])


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
