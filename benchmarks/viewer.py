"""How soon does the viewer show a model? Prints the figures and writes JSON.

    python benchmarks/viewer.py [RESULT_DIR]

Without a folder it makes a model of about 50 MB: half a million faces under one 8192 x 8192
texture. Needs Chromium and its driver; screenshots go to test-artifacts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.viewer.browser import browser  # noqa: E402

from insaat_cli.mesh_io.glb_writer import glb_bytes  # noqa: E402
from insaat_cli.mesh_io.model import Model, Part  # noqa: E402
from insaat_cli.viewer.page import single_file  # noqa: E402
from insaat_cli.viewer.scene import read_scene  # noqa: E402
from insaat_cli.viewer.server import ViewServer  # noqa: E402

SIDE = 500
TEXTURE_PX = 8192
RUNS = 3


def large_model() -> bytes:
    """A wavy sheet with a noisy texture, as incompressible as photographs are."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (TEXTURE_PX, TEXTURE_PX), interpolation=cv2.INTER_CUBIC)
    noise = random.integers(0, 34, (TEXTURE_PX, TEXTURE_PX, 1), dtype=np.uint8)
    u, v = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    height = 0.1 * np.sin(20 * u) * np.cos(17 * v)
    at = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel(), at[1:, :-1].ravel()
    part = Part(
        vertices=np.stack([u.ravel(), v.ravel(), height.ravel()], axis=1),
        faces=np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]),
        uv=np.stack([u.ravel(), v.ravel()], axis=1),
        texture=Image.fromarray(cv2.add(pixels, np.repeat(noise, 3, axis=2))),
    )
    return glb_bytes(Model(parts=(part,)), jpeg_quality=94)


def first_frames(url: str, profile: Path, picture: str) -> list[float]:
    """Seconds from navigation to the drawn model, in one browser, several times."""
    with browser(profile) as page:
        seconds = []
        for _ in range(RUNS):
            page.driver.get("about:blank")
            seconds.append(page.open(url))
        page.settle()
        page.picture(picture)
        assert page.console() == []
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            source = Path(sys.argv[1])
        else:
            source = Path(folder) / "large.glb"
            source.write_bytes(large_model())
        scene = read_scene(source)
        figures: dict[str, object] = {"megabytes": round(scene.model.stat().st_size / 1e6, 1)}
        with ViewServer(scene) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            figures["server_s"] = first_frames(server.url, Path(folder) / "a", "bench-server")
            server.shutdown()
        page = Path(folder) / "model.html"
        page.write_text(single_file(scene), encoding="utf-8")
        figures["single_file_s"] = first_frames(page.as_uri(), Path(folder) / "b", "bench-file")
    print(json.dumps(figures))
    output = ROOT / "bench-out" / "viewer.json"
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
