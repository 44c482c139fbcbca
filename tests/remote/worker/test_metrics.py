"""What Prometheus and an orchestrator read."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.remote.worker.metrics import Metrics, StatusServer


def read(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_and_health() -> None:
    metrics, healthy, reasons, notes = Metrics(), [True], [""], [""]
    metrics.add("jobs_total", label='end="failed"')
    metrics.add("jobs_total", label='end="failed"')
    server = StatusServer(
        "127.0.0.1",
        0,
        metrics,
        healthy=lambda: healthy[0],
        unready=lambda: reasons[0],
        note=lambda: notes[0],
    )
    server.start()
    base = f"http://127.0.0.1:{server.port}"
    try:
        status, text = read(f"{base}/metrics")
        assert status == 200
        assert "# TYPE insaat_worker_jobs_total counter" in text
        assert 'insaat_worker_jobs_total{end="failed"} 2\n' in text
        assert "insaat_worker_jobs_running 0\n" in text
        assert read(f"{base}/healthz")[0] == 200
        assert read(f"{base}/readyz") == (200, "ok\n")
        notes[0] = "no broker"
        assert read(f"{base}/readyz") == (200, "ok, but polling: no broker\n"), "it still works"
        assert read(f"{base}/healthz") == (200, "ok\n")
        reasons[0] = "no space left"
        assert read(f"{base}/readyz") == (503, "no space left\n")
        assert read(f"{base}/healthz")[0] == 200, "a restart would mend nothing"
        reasons[0], healthy[0] = "", False
        assert read(f"{base}/readyz")[0] == 503
        assert read(f"{base}/../etc/passwd")[0] == 404
        with pytest.raises(UsageError):
            StatusServer(
                "127.0.0.1",
                server.port,
                metrics,
                healthy=lambda: True,
                unready=lambda: "",
                note=lambda: "",
            )
    finally:
        server.stop()
