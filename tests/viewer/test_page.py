"""The page in a real browser: what a person would see and do."""

from __future__ import annotations

import json
import struct
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.viewer.page import single_file
from insaat_cli.viewer.scene import read_scene
from insaat_cli.viewer.server import ViewServer
from tests.viewer.box_scene import CAMERAS, COLORS, PHOTO_SIZE, SIDE, textured_box
from tests.viewer.browser import Browser

LOCAL_SCHEMES = {"blob", "data", "file"}
METRES_PER_UNIT = 0.25


@pytest.fixture(scope="module", params=["server", "single file"])
def url(
    request: pytest.FixtureRequest, result: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The same scene from the local server, and as one file opened from disk."""
    if request.param == "server":
        address: str = request.getfixturevalue("server").url
        return address
    path = tmp_path_factory.mktemp("sent") / "model.html"
    path.write_text(single_file(read_scene(result)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(page: Browser, url: str) -> Browser:
    page.driver.get("about:blank")
    page.requests()
    page.console()
    page.open(url)
    page.settle()
    return page


def changed(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the pixels that differ visibly."""
    return float((np.abs(before - after).max(axis=2) > 24).mean())


def kept_name(url: str, what: str) -> str:
    return f"viewer-{'file' if url.startswith('file') else 'server'}-{what}"


def on_screen(page: Browser, point: list[float]) -> tuple[float, float]:
    """Where a world point stands in the window."""
    x, y = page.script(
        """const {stage} = window.insaat;
        const at = stage.controls.target.clone().set(...arguments[0]).project(stage.camera);
        const {clientWidth: w, clientHeight: h} = stage.canvas;
        return [(at.x + 1) / 2 * w, (1 - at.y) / 2 * h];""",
        point,
    )
    return x, y


def look_from(page: Browser, eye: list[float]) -> None:
    """Look at the model's middle from `eye`."""
    page.script(
        "const {stage} = window.insaat; const {target} = stage.first;"
        "stage.place({eye: target.clone().set(...arguments[0]), target, fov: 45})",
        eye,
    )
    page.settle()


def test_draws_modes_and_turns_without_asking_anyone(opened: Browser, url: str) -> None:
    pictures = {"textured": opened.picture(kept_name(url, "textured"))}
    background = pictures["textured"][5, 400]
    drawn = (np.abs(pictures["textured"] - background).max(axis=2) > 40).mean()
    assert drawn > 0.08, "the model fills a good part of the window"
    for mode in ("shaded", "wireframe", "points"):
        opened.click(f"[data-mode={mode}]")
        opened.settle()
        pictures[mode] = opened.picture(kept_name(url, mode))
        for other in pictures.keys() - {mode}:
            assert changed(pictures[mode], pictures[other]) > 0.008, (mode, other)
    opened.click("[data-mode=textured]")
    opened.settle()
    assert changed(opened.picture(), pictures["textured"]) < 0.02

    opened.drag((500, 250), (700, 300))
    opened.settle()
    assert changed(opened.picture(), pictures["textured"]) > 0.05
    assert opened.console() == []
    allowed = urlsplit(url).netloc
    for address in opened.requests():
        parts = urlsplit(address)
        assert parts.scheme in LOCAL_SCHEMES or parts.netloc == allowed, address


def test_shows_the_photo_of_a_clicked_camera(opened: Browser, url: str) -> None:
    before = opened.picture()
    opened.click("#cameras")
    time.sleep(0.8)
    opened.settle()
    assert changed(before, opened.picture(kept_name(url, "cameras"))) > 0.0005
    number = 1
    center = opened.script(f"return window.insaat.cameras.list[{number}].center")
    opened.click_at(*on_screen(opened, [c * 0.985 for c in center]))
    time.sleep(0.3)
    opened.settle()
    picture = opened.picture(kept_name(url, "photo"))
    name = opened.script("return document.getElementById('photo-name').textContent")
    assert name == f"<b>shot</b> {number}.jpg", "names are text, never markup"
    size = opened.script(
        "const i = document.getElementById('photo-image'); return [i.naturalWidth, i.naturalHeight]"
    )
    assert size == list(PHOTO_SIZE)
    box = opened.script(
        "const b = document.getElementById('photo-image').getBoundingClientRect();"
        "return [b.left + b.width / 2, b.top + b.height / 2]"
    )
    shown = picture[round(box[1]), round(box[0])]
    assert np.abs(shown - COLORS[number]).max() < 12

    opened.click("#photo-next")
    assert opened.script("return window.insaat.cameras.chosen") == (number + 1) % CAMERAS
    opened.click("#photo-through")
    time.sleep(0.8)
    opened.settle()
    eye = opened.script("return window.insaat.stage.camera.position.toArray()")
    wanted = opened.script(f"return window.insaat.cameras.list[{number + 1}].center")
    assert np.allclose(eye, wanted, atol=0.02)
    opened.click("#photo-close")
    assert opened.console() == []


def test_measures_in_metres(opened: Browser, url: str) -> None:
    opened.click("#measure")
    corner = SIDE / 2 * 0.999  # just inside the front face's upper edge
    ends = [[-corner, SIDE - 0.002, corner + 0.001], [corner, SIDE - 0.002, corner + 0.001]]
    look_from(opened, [0, 1, 7])
    for end in ends:
        opened.click_at(*on_screen(opened, end))
    opened.settle()
    opened.picture(kept_name(url, "measure"))
    units = opened.script("return window.insaat.measure.units")
    assert units == pytest.approx(SIDE, rel=0.01)
    text = opened.script("return document.getElementById('distance').textContent")
    number, unit = text.split()
    assert unit == "cm"
    assert float(number) == pytest.approx(SIDE * METRES_PER_UNIT * 100, rel=0.01)

    opened.driver.find_element("id", "real").send_keys("3 m")
    opened.click("#scale-form button")
    assert opened.script("return document.getElementById('distance').textContent") == "3.000 m"
    assert opened.console() == []


def test_cuts_the_model_open_and_saves_a_picture(opened: Browser, url: str) -> None:
    whole = opened.picture()
    opened.click("#clip")
    opened.settle()
    half = opened.picture(kept_name(url, "clip"))
    assert changed(whole, half) > 0.03
    opened.click("#clip-flip")
    opened.settle()
    assert changed(half, opened.picture()) > 0.03
    opened.click("#clip")
    opened.settle()
    assert changed(whole, opened.picture()) < 0.01
    size = opened.driver.execute_async_script(
        "const done = arguments[0]; window.insaat.stage.picture().then((blob) => done(blob.size))"
    )
    assert size > 2000
    before = opened.picture()
    opened.click("#theme")
    opened.settle()
    assert changed(before, opened.picture(kept_name(url, "theme"))) > 0.4
    assert opened.console() == []


def test_turns_by_touch(opened: Browser) -> None:
    before = opened.picture()
    send = opened.driver.execute_cdp_cmd
    send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 450, "y": 300}]})
    for x in (500, 560, 640):
        at = {"type": "touchMove", "touchPoints": [{"x": x, "y": 320}]}
        send("Input.dispatchTouchEvent", at)
    send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    opened.settle()
    assert changed(before, opened.picture()) > 0.05


EVIL = "</script><img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"


def hostile_glb(data: bytes) -> bytes:
    """The file with a script in every name that it can have."""
    (length,) = struct.unpack_from("<I", data, 12)
    document = json.loads(data[20 : 20 + length])
    for items in (document[key] for key in ("scenes", "nodes", "meshes", "materials", "images")):
        for item in items:
            item |= {"name": EVIL, "extras": {EVIL: EVIL}}
    document["asset"] |= {"generator": EVIL, "copyright": EVIL}
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    head = struct.pack("<III", 0x46546C67, 2, 20 + len(text) + len(rest))
    return head + struct.pack("<II", len(text), 0x4E4F534A) + text + rest


@pytest.mark.parametrize("kind", ["glb", "ply"])
def test_script_in_names_stays_text(page: Browser, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"<img src=x onerror='window.hacked=1'>.{kind}"
    if kind == "glb":
        path.write_bytes(hostile_glb(glb_bytes(textured_box())))
    else:
        lines = (b"ply", b"format ascii 1.0", b"comment " + EVIL.encode(), b"element vertex 3",
                 *(b"property float " + axis for axis in (b"x", b"y", b"z")), b"element face 1",
                 b"property list uchar int vertex_indices", b"end_header",
                 b"0 0 0", b"1 0 0", b"0 1 0", b"3 0 1 2", b"")  # fmt: skip
        path.write_bytes(b"\n".join(lines))
    page.console()
    scene = read_scene(path)
    sent = tmp_path / "sent.html"
    sent.write_text(single_file(scene), encoding="utf-8")
    with ViewServer(scene) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for url in (server.url, sent.as_uri()):
            page.open(url)
            page.settle()
            assert page.script("return window.hacked === undefined")
            assert page.script("return document.images.length") == 1, "the page's own"
            assert page.script("return document.getElementById('title').textContent") == path.name
        server.shutdown()
    assert page.console() == []


def test_says_when_a_model_cannot_be_shown(page: Browser, server: ViewServer, result: Path) -> None:
    with ViewServer(read_scene(result)) as broken:
        kind = type(broken.answers["model.glb"])
        broken.answers["model.glb"] = kind(kind="model/gltf-binary", content=b"nonsense")
        threading.Thread(target=broken.serve_forever, daemon=True).start()
        with pytest.raises(AssertionError, match="cannot be shown"):
            page.open(broken.url)
        broken.shutdown()
    page.console()
