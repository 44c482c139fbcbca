"""One small noiseless photo set for all tests of the renderer."""

from __future__ import annotations

import pytest

from insaat_cli.scenes import SceneTruth, make_photo_set
from insaat_cli.scenes.photograph import Sensor

QUIET = Sensor(noise=0.0, vignetting=0.0, exposure_spread=0.0)


@pytest.fixture(scope="session")
def statue(tmp_path_factory: pytest.TempPathFactory) -> SceneTruth:
    folder = tmp_path_factory.mktemp("statue")
    return make_photo_set(folder, photos=16, width=480, height=360, sensor=QUIET)
