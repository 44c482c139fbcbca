"""A result folder with true lengths and poses, and a browser to look at it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.viewer.scene import read_scene
from insaat_cli.viewer.server import ViewServer
from tests.viewer.box_scene import CAMERAS, COLORS, PHOTO_SIZE, orbit_camera, textured_box
from tests.viewer.browser import Browser, browser, require_browser


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `insaat reconstruct` leaves it: one unit is 25 cm."""
    folder = tmp_path_factory.mktemp("viewed") / "box & <i>sons"
    images = folder / "stages" / "resize" / "images"
    images.mkdir(parents=True)
    (folder / "model.glb").write_bytes(glb_bytes(textured_box()))
    cameras = [orbit_camera(number) for number in range(CAMERAS)]
    (folder / "cameras.json").write_text(json.dumps({"images": cameras, "frame": "opencv"}))
    (folder / "run.json").write_text(json.dumps({"metres_per_unit": 0.25}))
    listed = []
    for number, camera in enumerate(cameras):
        name = f"{number:05d}.jpg"
        Image.new("RGB", PHOTO_SIZE, COLORS[number]).save(images / name)
        listed.append({"name": name, "source": camera["name"]})
    (images.parent / "images.json").write_text(json.dumps({"images": listed}))
    return folder


@pytest.fixture(scope="session")
def server(result: Path) -> Iterator[ViewServer]:
    with ViewServer(read_scene(result)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with nothing open."""
    require_browser()
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
