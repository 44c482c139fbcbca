"""Who may ask the local server, and for what."""

from __future__ import annotations

import http.client
import json

import pytest

from insaat_cli.viewer.server import ViewServer


def ask(
    server: ViewServer, path: str, *, host: str | None = None, method: str = "GET"
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    return connection.getresponse()


def test_serves_the_page_under_its_token_with_a_strict_policy(server: ViewServer) -> None:
    answer = ask(server, f"/{server.token}/")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = answer.read().decode()
    assert "<title>box &amp; &lt;i&gt;sons</title>" in page
    assert "<!--" not in page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"])
def test_refuses_other_hosts(server: ViewServer, host: str) -> None:
    assert ask(server, f"/{server.token}/", host=host).status == 403


@pytest.mark.parametrize(
    "path",
    ["/", "/scene.json", "/x/scene.json", "/{token}x/", "/{token}/../run.json",
     "/{token}/photos/../../run.json", "/{token}/photos/99.jpg", "/{token}//etc/passwd",
     "/%ff/"],
)  # fmt: skip
def test_serves_nothing_else(server: ViewServer, path: str) -> None:
    answer = ask(server, path.format(token=server.token))
    assert answer.status == 404
    assert answer.read() == b""


def test_serves_model_cameras_and_photos(server: ViewServer) -> None:
    base = f"/{server.token}"
    assert ask(server, f"{base}/model.glb").read()[:4] == b"glTF"
    scene = json.loads(ask(server, f"{base}/scene.json").read())
    assert scene["metres_per_unit"] == 0.25
    photo = ask(server, f"{base}/{scene['cameras'][3]['photo']}")
    assert photo.headers["Content-Type"] == "image/jpeg"
    assert photo.read()[:2] == b"\xff\xd8"
    head = ask(server, f"{base}/model.glb", method="HEAD")
    assert head.status == 200 and head.read() == b""
    assert ask(server, f"{base}/", method="POST").status == 501


def test_every_server_has_its_own_token(server: ViewServer, result) -> None:
    from insaat_cli.viewer.scene import read_scene

    with ViewServer(read_scene(result)) as other:
        assert other.token != server.token
        assert len(other.token) >= 32
