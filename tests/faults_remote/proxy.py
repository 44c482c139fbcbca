"""A bad line to an S3 server: an HTTP proxy that refuses, loses, repeats and delays."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("409", "429", "500", "503", "reply lost", "request lost", "twice", "late")


@dataclass(frozen=True)
class Passing:
    """A request on its way; `status` is that of the server's answer, None before it."""

    method: str
    path: str
    body: bytes
    status: int | None = None


class BadLine:
    """Forwards to `port` on loopback; `chance` of a fault for each request.

    `hook` sees each request before and after it is forwarded; True loses it, or its reply."""

    def __init__(self, port: int, *, chance: float, seed: int = 1) -> None:
        self.target = port
        self.chance = chance
        self.cut = False
        self.hook: Callable[[Passing], bool] = lambda passing: False
        self.seen: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError, http.client.HTTPException):
                    self.close_connection = True

            def do_GET(self) -> None:
                line.serve(self)

            do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self._lock:
            spoiled = self._random.random() < self.chance
            fault = self._random.choice(FAULTS) if spoiled else ""
        if self.cut:
            fault = "request lost"
        conditional = {"If-Match", "If-None-Match"} & set(request.headers)
        if fault == "409" and not conditional:
            fault = "503"
        self.seen[fault] += 1
        if fault.isdigit():
            self._answer(request, int(fault), {}, b"")
            return
        if fault == "request lost":
            request.close_connection = True
            return
        passing = Passing(request.command, request.path, body)
        if self.hook(passing):
            request.close_connection = True
            return
        if fault == "late":
            time.sleep(0.7)
        if fault == "twice":
            self._forward(request, body)
        status, headers, answer = self._forward(request, body)
        lost = self.hook(replace(passing, status=status))
        if lost or fault == "reply lost" or self.cut:
            request.close_connection = True
            return
        self._answer(request, status, headers, answer)

    def _forward(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=20)
        try:
            connection.putrequest(
                request.command, request.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers.items():
                if name.lower() not in {"connection", "expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    @staticmethod
    def _answer(
        request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        request.send_response(status)
        own = {"content-length", "connection", "transfer-encoding", "date", "server"}
        length = len(body)
        for name, value in headers.items():
            if name.lower() == "content-length" and request.command == "HEAD":
                length = int(value)
            if name.lower() not in own:
                request.send_header(name, value)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)
