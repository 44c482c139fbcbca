"""Photos and a pipeline of fake stages for whole command lines."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from tests.fakes.pipelines import fake_stage


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos"
    folder.mkdir()
    for number in range(4):
        block = random.Random(number).randbytes(16 * 12 * 3)
        image = Image.frombytes("RGB", (16, 12), block).resize((640, 480))
        image.save(folder / f"IMG_{number}.jpg")
    return folder


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., str]:
    """Writes a pipeline of two fake stages, first and last; the last takes the parameters."""

    def write(**params: Any) -> str:
        stages = [fake_stage("first"), fake_stage("last", ["first"], params=params)]
        path = tmp_path / "fake.yaml"
        path.write_text(yaml.safe_dump({"name": "fake", "stages": stages}), encoding="utf-8")
        return str(path)

    return write
