"""Put the page together: for the server, or as one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib import resources
from typing import Any

from insaat_cli.mesh_io.glb_check import DRACO
from insaat_cli.viewer.cloud import SENT_POINTS
from insaat_cli.viewer.scene import ViewedScene, thumbnail

SERVED_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
JSON_PEEK = 1 << 20
"""Where the JSON part of a GLB says what it needs."""
INLINE_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src blob: data:; "
    "connect-src blob: data:; base-uri 'none'; form-action 'none'"
)


def asset(name: str) -> bytes:
    """A file of the page as it was built."""
    return resources.files("insaat_cli.viewer").joinpath("assets", name).read_bytes()


def served_page(title: str) -> str:
    """The page that asks its server for style, script and data."""
    return _filled(
        title=html.escape(title),
        style='<link rel="stylesheet" href="style.css">',
        script='<script src="app.js" defer></script>',
    )


def single_file(
    scene: ViewedScene, *, photos: bool = True, model_bytes: bytes | None = None
) -> str:
    """The scene as one HTML file: model, script, style and small photos inside.

    `model_bytes` is a lighter GLB to show instead of the scene's own. The page works from disk;
    its policy allows the script in it and no connection to anywhere.
    """
    script, style = asset("app.js").decode("utf-8"), asset("style.css").decode("utf-8")
    licence = html.escape(asset("LICENSES.txt").decode("utf-8").replace("--", "- -"))
    shown = {}
    if photos:
        shown = {camera.photo: thumbnail(camera.photo) for camera in scene.cameras if camera.photo}
    content = scene.model_bytes() if model_bytes is None else model_bytes
    cloud = scene.thin_cloud(SENT_POINTS)
    carried = [_carried("model-data", content)]
    carried += [_carried("cloud-data", cloud.data)] if cloud else []
    scripts = [asset("draco.js").decode("utf-8")] if DRACO.encode() in content[:JSON_PEEK] else []
    hashes = "' '".join(_hash(text) for text in (script, *scripts))
    policy = INLINE_POLICY.format(script=hashes, style=_hash(style))
    return _filled(
        title=html.escape(scene.title),
        csp=f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<!-- {licence} -->',
        style=f"<style>{style}</style>",
        data=(
            f'<script type="application/json" id="scene-data">{_inert(scene.to_json(shown, cloud))}'
            "</script>\n"
            + "\n".join(carried)
            + "".join(f"<script>{text}</script>" for text in scripts)
        ),
        script=f"<script>{script}</script>",
    )


def _filled(**parts: str) -> str:
    """The page with its marks filled in one pass, so that no content can hold another mark."""
    text = asset("page.html").decode("utf-8")
    pieces = []
    for mark in ("csp", "title", "style", "data", "script"):
        before, text = text.split(f"<!--{mark}-->", 1)
        pieces += [before, parts.get(mark, "")]
    return "".join([*pieces, text])


def _carried(name: str, content: bytes) -> str:
    """Bytes as an element that the browser does not run."""
    text = base64.b64encode(content).decode("ascii")
    return f'<script type="text/plain" id="{name}">{text}</script>'


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _inert(content: Any) -> str:
    """JSON that cannot end the script element around it, whatever names it holds."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
