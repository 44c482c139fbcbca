"""Signals that come at any moment stop a worker, and never stop it for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from insaat_cli.remote.worker.waking import Waker

STORM = r"""
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.worker import worker as module
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.options import WorkerOptions

store = MemoryStore()
module.probe = lambda store: None
worker = module.Worker(
    store,
    WorkerOptions(poll_s=1e-6, max_memory="1G"),
    allowed=allowed_pipelines(),
    notifier=Notifier(store=store, mail=None, webhook=None),
)
said = iter(["ready\n"])
worker._look = lambda: print(next(said, ""), end="", flush=True)
worker._is_over = lambda: worker.context.stop_now.is_set()
worker.run()
print("it went on", flush=True)
"""


def test_a_storm_of_signals_does_not_stop_the_main_loop() -> None:
    """With events, a handler waited for the very thread that it had interrupted."""
    command = [sys.executable, "-c", STORM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        try:
            assert worker.stdout.readline() == "ready\n"
            for _ in range(8_000):
                worker.send_signal(signal.SIGUSR1)
            worker.send_signal(signal.SIGTERM)
            said, _ = worker.communicate(timeout=20)
            assert said == "it went on\n"
        finally:
            worker.kill()


def test_a_call_before_the_wait_is_not_lost() -> None:
    waker = Waker()
    for _ in range(3):
        waker.set()
    started = time.monotonic()
    waker.wait(30.0)
    assert time.monotonic() - started < 10
    waker.wait(0.01)  # all of them meant one
    waker.close()
    waker.set()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_wait_is_none(seconds: float) -> None:
    waker = Waker()
    waker.wait(seconds)
    waker.close()


def test_another_thread_ends_the_wait() -> None:
    waker = Waker()
    threading.Timer(0.1, waker.set).start()
    started = time.monotonic()
    waker.wait(30.0)
    assert time.monotonic() - started < 10
    waker.close()
