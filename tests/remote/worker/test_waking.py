"""Signals that come at any moment stop a worker, and never stop it for ever."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from insaat_cli.remote.worker.waking import Waker

EVERY_CALL = """
import signal, sys
from insaat_cli.remote.queue.job_spec import allowed_pipelines
from insaat_cli.remote.store.memory_store import MemoryStore
from insaat_cli.remote.worker import worker as module
from insaat_cli.remote.worker.notification import Notifier
from insaat_cli.remote.worker.options import WorkerOptions

def in_handler(frame):
    while frame is not None:
        if frame.f_code.co_name == "drain":
            return True
        frame = frame.f_back
    return False

def interrupt(frame, event, argument):
    if not in_handler(frame):
        signal.raise_signal(signal.SIGUSR1)

store = MemoryStore()
module.probe = lambda store: None
worker = module.Worker(
    store,
    WorkerOptions(poll_s=1e-3, max_memory="1G"),
    allowed=allowed_pipelines(),
    notifier=Notifier(store=store, mail=None, webhook=None),
)
turns = iter(range(20))
worker._look = lambda: sys.settrace(interrupt)

def is_over():
    over = worker.draining and next(turns, None) is None
    if over:
        sys.settrace(None)
    return over

worker._is_over = is_over
worker.run()
print("it went on")
"""


def test_a_signal_within_any_call_of_the_main_loop_does_not_stop_it() -> None:
    """With events, a handler waited for the very thread that it had interrupted."""
    ran = subprocess.run(
        [sys.executable, "-c", EVERY_CALL], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "it went on\n", ran.stderr


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
