"""A real reconstruction in a real browser: viewer, page to send, and report of the Sceaux photos.

Made once, at a small size. What a person would look at is left in `test-artifacts/`.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from insaat_cli.cli.app import run
from insaat_cli.export.export_model import Compression, ExportOptions, export
from insaat_cli.export.scale import first_hit
from insaat_cli.mesh_io.model import read_model
from insaat_cli.viewer.scene import read_scene
from insaat_cli.viewer.server import ViewServer
from tests.viewer.browser import SCREENSHOTS, SIZE_PX, Browser, require_browser

PHOTOS = 11
SMALL = ("resize.max_side=800", "dense.max_side=320", "texture.size=2048")


@pytest.fixture(scope="module")
def sceaux(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result folder of a small reconstruction."""
    require_browser()
    folder = tmp_path_factory.mktemp("reconstructed") / "sceaux"
    settings = [part for text in SMALL for part in ("--set", text)]
    command = ["reconstruct", str(shared_data / "sceaux"), "-o", str(folder), *settings, "--quiet"]
    assert run(command) == 0
    return folder


@pytest.fixture(scope="module", params=["server", "single file", "compressed file"])
def url(
    request: pytest.FixtureRequest, sceaux: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "server":
        with ViewServer(read_scene(sceaux)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.url
            server.shutdown()
        return
    packed = Compression.DRACO if "compressed" in request.param else Compression.NONE
    options = ExportOptions(
        source=sceaux, output=tmp_path_factory.mktemp("sent"), html=True, compress=packed
    )
    yield export(options).files[0].as_uri()


def drawn_share(picture: np.ndarray) -> float:
    """Share of the pixels that are not the background, which is even."""
    return float((np.abs(picture - picture[5, SIZE_PX[0] // 2]).max(axis=2) > 30).mean())


def changed(before: np.ndarray, after: np.ndarray) -> float:
    return float((np.abs(before - after).max(axis=2) > 24).mean())


def ray_through(page: Browser, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Eye and direction of a window position, from the page's own matrices."""
    eye, inverse, size = page.script(
        """const {camera, canvas} = window.insaat.stage;
        camera.updateMatrixWorld();
        const m = camera.matrixWorld.clone().multiply(camera.projectionMatrixInverse);
        const {clientWidth: w, clientHeight: h} = canvas;
        return [camera.position.toArray(), m.elements, [w, h]];"""
    )
    at = np.array([2 * x / size[0] - 1, 1 - 2 * y / size[1], 0.5, 1])
    point = np.array(inverse).reshape(4, 4).T @ at
    return np.array(eye), point[:3] / point[3] - np.array(eye)


def test_sceaux_is_drawn_turned_measured_and_shown_with_its_photos(
    page: Browser, url: str, sceaux: Path
) -> None:
    kind = "server" if url.startswith("http") else Path(url).parent.name
    page.driver.get("about:blank")
    page.requests(), page.console()
    page.open(url)
    page.settle()
    first = page.picture(f"sceaux-{kind}")
    assert drawn_share(first) > 0.1
    for mode in ("shaded", "wireframe", "points"):
        page.click(f"[data-mode={mode}]")
        if mode == "points":
            wait_for_the_cloud(page)
        page.settle()
        assert changed(first, page.picture(f"sceaux-{kind}-{mode}")) > 0.02, mode
    page.click("[data-mode=textured]")
    page.settle()

    assert_measures(page, sceaux)
    page.drag((450, 300), (650, 330))
    page.settle()
    assert changed(first, page.picture()) > 0.05
    page.click("#home")
    time.sleep(0.8)
    assert_shows_a_photo(page, f"sceaux-{kind}-photo")
    assert page.console() == []
    own = urlsplit(url).netloc
    for address in page.requests():
        parts = urlsplit(address)
        assert parts.scheme in {"blob", "data", "file"} or parts.netloc == own, address


def wait_for_the_cloud(page: Browser) -> None:
    """The dense cloud replaces the corners of the mesh."""
    for _ in range(100):
        if page.script("return document.documentElement.dataset.cloud"):
            break
        time.sleep(0.1)
    counts = page.script(
        "const {model, scene} = window.insaat; return [scene.cloud.count,"
        " model.drawn.get('points').children[0].geometry.attributes.position.count]"
    )
    assert counts[0] == counts[1] > 10_000


def assert_measures(page: Browser, sceaux: Path) -> None:
    """Clicks two points and compares with rays that Python casts into the file."""
    vertices, faces = read_model(sceaux / "model.glb").shape()
    places = hits = None
    for places in (((420, 330), (640, 330)), ((460, 280), (600, 340)), ((500, 300), (560, 310))):
        hits = [first_hit(*ray_through(page, *at), vertices, faces) for at in places]
        if all(hit is not None for hit in hits):
            break
    wanted = float(np.linalg.norm(hits[0] - hits[1]))
    page.click("#measure")
    for at in places:
        page.click_at(*at)
    page.settle()
    units = page.script("return window.insaat.measure.units")
    assert units == pytest.approx(wanted, rel=0.01)
    page.driver.find_element("id", "real").send_keys("12 m")
    page.click("#scale-form button")
    assert page.script("return document.getElementById('distance').textContent") == "12.00 m"
    page.click("#measure")


def assert_shows_a_photo(page: Browser, name: str) -> None:
    page.click("#cameras")
    time.sleep(0.8)
    page.settle()
    x, y = page.script(
        """const {stage, cameras} = window.insaat;
        const at = stage.controls.target.clone().set(...cameras.list[5].center);
        at.addScaledVector(at.clone().set(...cameras.list[5].forward), cameras.size * 0.5);
        at.project(stage.camera);
        const {clientWidth: w, clientHeight: h} = stage.canvas;
        return [(at.x + 1) / 2 * w, (1 - at.y) / 2 * h];"""
    )
    page.click_at(x, y)
    time.sleep(0.3)
    page.settle()
    page.picture(name)
    chosen, width = page.script(
        "return [window.insaat.cameras.chosen, document.getElementById('photo-image').naturalWidth]"
    )
    assert chosen >= 0 and width > 100
    page.click("#photo-close")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_of_sceaux_is_whole_and_asks_nobody(
    page: Browser, sceaux: Path, scheme: str
) -> None:
    page.driver.get("about:blank")
    page.requests(), page.console()
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.driver.get((sceaux / "report.html").as_uri())
    sizes = page.driver.execute_async_script(
        """const done = arguments[0], all = [...document.images];
        for (const image of all) image.loading = 'eager';
        Promise.all(all.map((i) => i.decode())).then(() => done(all.map((i) => i.naturalWidth)));"""
    )
    assert len(sizes) == PHOTOS + 2 and min(sizes) > 100
    titles = page.script("return [...document.querySelectorAll('h2')].map((h) => h.textContent)")
    for title in ("Cameras", "Coverage", "Photos", "Calibration", "Stages", "How it was made"):
        assert title in titles
    assert page.script("return document.querySelectorAll('.graph .link').length") >= PHOTOS
    assert page.script("return document.querySelectorAll('.topview .camera').length") == PHOTOS
    wide = page.script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, "nothing sticks out at the side"
    whole = page.driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png", "clip": {
            "x": 0, "y": 0, "width": SIZE_PX[0], "scale": 1,
            "height": page.script("return document.documentElement.scrollHeight")}},
    )  # fmt: skip
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"report-{scheme}.png").write_bytes(base64.b64decode(whole["data"]))
    assert page.console() == []
    assert {urlsplit(address).scheme for address in page.requests()} <= {"file", "data", "about"}
