"""`insaat` as process 1 of a container: a process namespace of its own, where one can be had."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from tests.availability import missing

UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
AS_INSAAT = """
import os, subprocess, sys, time
import insaat_cli.cli.app as app

def run(arguments):
    exec(arguments[0])

app.run = run
app.main()
"""
ORPHANS = """
for _ in range(5):
    # A shell that ends at once, and leaves a child that ends later.
    subprocess.run(["sh", "-c", "sleep 0.2 & exit"], check=True)
time.sleep(1)
states = []
for name in os.listdir("/proc"):
    if name.isdigit():
        with open(f"/proc/{name}/stat") as file:
            states.append(file.read().rpartition(")")[2].split()[0])
print(states.count("Z"))
return 7
"""


def contained(code: str) -> list[str]:
    if (
        shutil.which("unshare") is None
        or subprocess.run([*UNSHARE, "true"], check=False).returncode
    ):
        missing("unshare, or a kernel that gives process namespaces")
    lines = "\n".join(f"    {line}" for line in code.strip().splitlines())
    script = AS_INSAAT.replace("    exec(arguments[0])", lines)
    return [*UNSHARE, sys.executable, "-c", script]


@contextmanager
def running(code: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """What was started, and the first process inside."""
    with subprocess.Popen(contained(code), stdout=subprocess.PIPE, text=True) as outer:
        try:
            assert outer.stdout is not None
            assert outer.stdout.readline() == "ready\n"
            (first,) = psutil.Process(outer.pid).children()
            yield outer, first
        finally:
            outer.kill()


def test_orphans_are_buried_and_the_exit_code_is_handed_on() -> None:
    ran = subprocess.run(
        contained(ORPHANS), capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.returncode) == ("0\n", 7), ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_are_handed_on(number: signal.Signals) -> None:
    code = f"""
import signal
signal.signal({int(number)}, lambda *_: os._exit(42))
print("ready", flush=True)
time.sleep(60)
"""
    with running(code) as (outer, first):
        first.send_signal(number)
        assert outer.wait(20) == 42


SPYING = """
shown = open("/proc/1/environ", "rb").read()
links = [os.readlink(f"/proc/1/fd/{name}") for name in os.listdir("/proc/1/fd")]
files = [link for link in links if "credentials" in link]
print(b"s3cret" in shown, files, os.environ["MY_PASSWORD"])
return 0
"""


def test_the_first_process_holds_no_credentials_of_a_worker() -> None:
    environment = {**os.environ, "MY_PASSWORD": "s3cret"}
    ran = subprocess.run(
        [*contained(SPYING), "worker"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.stdout == "False [] s3cret\n", ran.stderr


def test_a_child_that_is_killed_is_an_exit_code() -> None:
    code = """
print("ready", flush=True)
time.sleep(60)
"""
    with running(code) as (outer, first):
        deadline = time.monotonic() + 20
        while not (children := first.children()) and time.monotonic() < deadline:
            time.sleep(0.05)
        children[0].kill()
        assert outer.wait(20) == 128 + signal.SIGKILL
