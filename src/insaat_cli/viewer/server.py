"""The page on 127.0.0.1, for one person on this machine.

Every address begins with a random token and every request must name this host and port: a web
page open in the same browser can neither guess the one nor, by rebinding DNS, forge the other.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from insaat_cli.errors import UsageError
from insaat_cli.viewer.cloud import SERVED_POINTS
from insaat_cli.viewer.page import SERVED_POLICY, asset, served_page
from insaat_cli.viewer.scene import ViewedScene

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What stands at one address."""

    kind: str
    content: bytes | Path = field(repr=False)


def answers_of(scene: ViewedScene) -> dict[str, Answer]:
    """Every address below the token, and nothing else can be asked for."""
    photos = {camera.photo: f"photos/{i}.jpg" for i, camera in enumerate(scene.cameras)}
    known = {path: address for path, address in photos.items() if path is not None}
    cloud = scene.thin_cloud(SERVED_POINTS)
    facts = json.dumps(scene.to_json(known, cloud)).encode()
    answers = {
        "": Answer(kind="text/html; charset=utf-8", content=served_page(scene.title).encode()),
        "app.js": Answer(kind="text/javascript; charset=utf-8", content=asset("app.js")),
        "draco.js": Answer(kind="text/javascript; charset=utf-8", content=asset("draco.js")),
        "style.css": Answer(kind="text/css; charset=utf-8", content=asset("style.css")),
        "scene.json": Answer(kind="application/json", content=facts),
        "model.glb": Answer(kind="model/gltf-binary", content=scene.model_bytes()),
    }
    if cloud:
        answers["cloud.bin"] = Answer(kind="application/octet-stream", content=cloud.data)
    for path, address in known.items():
        answers[address] = Answer(kind="image/jpeg", content=path)
    return answers


class ViewServer(ThreadingHTTPServer):
    """Serves one scene until it is shut down."""

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, scene: ViewedScene, *, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self.answers = answers_of(scene)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"cannot listen on {HOST}:{port}: {error.strerror}", hint="choose another --port"
            ) from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version = "insaat"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        allowed = {f"{name}:{self.server.server_port}" for name in NAMES}
        named = self.headers.get_all("Host", [])
        if len(named) != 1 or named[0] not in allowed:
            return self._refuse(403)
        _, token, *rest = [*self.path.split("?", 1)[0].split("/", 2), "", ""]
        if not self.path.startswith("/") or self.path.count("/") < 2:
            return self._refuse(404)  # without its last slash the page would ask elsewhere
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            return self._refuse(404)
        answer = self.server.answers.get(rest[0])
        if answer is None:
            return self._refuse(404)
        return self._send(answer, with_body=with_body)

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        try:
            content = (
                answer.content if isinstance(answer.content, bytes) else answer.content.read_bytes()
            )
        except OSError:
            return self._refuse(404)
        self.send_response(200)
        self.send_header("Content-Type", answer.kind)
        self._headers(len(content))
        if with_body:
            view = memoryview(content)
            for at in range(0, len(view), BLOCK_BYTES):
                self.wfile.write(view[at : at + BLOCK_BYTES])
        return None

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Connection", "close")
        self._headers(0)

    def _headers(self, length: int) -> None:
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", SERVED_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the address holds the token."""
