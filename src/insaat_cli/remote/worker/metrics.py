"""What a worker tells Prometheus and its orchestrator: /metrics, /healthz, /readyz."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from insaat_cli.errors import UsageError

PREFIX = "insaat_worker_"
HELP = {
    "jobs_total": ("counter", "Attempts by outcome."),
    "jobs_declined_total": ("counter", "Jobs skipped because this machine cannot run them."),
    "machine_faults_total": (
        "counter",
        "Attempts returned to the queue because of a machine fault, by fault.",
    ),
    "quarantines_total": ("counter", "Pauses because different jobs failed in a row."),
    "ready": (
        "gauge",
        "1 if this worker takes jobs, 0 while it pauses after a machine fault.",
    ),
    "broker_connected": ("gauge", "1 while the broker answers; otherwise the worker polls."),
    "jobs_running": ("gauge", "Running attempts."),
    "jobs_lost_total": ("counter", "Jobs of lost workers that this worker requeued."),
    "store_errors_total": ("counter", "Scans of the queue that failed."),
    "queued_jobs": ("gauge", "Queued jobs that this worker may take, up to 200."),
    "queue_scans_total": ("counter", "Scans of the queue."),
    "stage_seconds_total": ("counter", "Seconds spent in stages."),
    "peak_memory_bytes": ("gauge", "Highest peak memory of any stage so far."),
    "last_scan_timestamp_seconds": ("gauge", "Unix time of the last scan of the queue."),
}


class Metrics:
    """Named numbers with at most one label."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], float] = {("jobs_running", ""): 0.0}
        self._lock = threading.Lock()

    def add(self, name: str, value: float = 1.0, *, label: str = "") -> None:
        with self._lock:
            self._values[name, label] = self._values.get((name, label), 0.0) + value

    def set(self, name: str, value: float) -> None:
        with self._lock:
            self._values[name, ""] = value

    def raise_to(self, name: str, value: float) -> None:
        with self._lock:
            self._values[name, ""] = max(self._values.get((name, ""), 0.0), value)

    def text(self) -> str:
        """In the exposition format 0.0.4."""
        with self._lock:
            values = sorted(self._values.items())
        lines: list[str] = []
        for name, (kind, about) in HELP.items():
            samples = [(label, value) for (found, label), value in values if found == name]
            if not samples:
                continue
            lines += [f"# HELP {PREFIX}{name} {about}", f"# TYPE {PREFIX}{name} {kind}"]
            for label, value in samples:
                labels = f"{{{label}}}" if label else ""
                lines.append(f"{PREFIX}{name}{labels} {value:g}")
        return "\n".join(lines) + "\n"


class StatusServer:
    """Answers GET on one address, from a thread."""

    def __init__(
        self,
        host: str,
        port: int,
        metrics: Metrics,
        *,
        healthy: Callable[[], bool],
        unready: Callable[[], str],
        note: Callable[[], str],
    ) -> None:
        """`unready` says why the worker takes no jobs now, `note` what impairs it; or "" both."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
                elif self.path in {"/healthz", "/readyz"}:
                    why = "" if healthy() else "stale: the queue has not been read for a while"
                    if self.path == "/readyz":
                        why = why or unready()
                    impaired = "" if why or self.path == "/healthz" else note()
                    text = why or (f"ok, but polling: {impaired}" if impaired else "ok")
                    self._answer(503 if why else 200, text + "\n")
                else:
                    self._answer(404, "not found\n")

            def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Probes every few seconds are no news."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"cannot listen on {host}:{port}: {error}", hint="choose another --metrics-port"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
