"""A stage ends when it is asked, in the middle of compiled code too."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from insaat_cli.pipeline.stage_contract import StageRequest

DEEP_IN_COMPILED_CODE = """
import hashlib
from insaat_cli.pipeline.stage_contract import run_stage

def main(request, events):
    print("at work", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # half an hour without a look at signals

run_stage(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stage_ends_at_once_whatever_it_is_in(number: signal.Signals, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    StageRequest(
        stage="deep", params={}, inputs={}, photos=tmp_path, output=tmp_path, threads=1,
        memory_bytes=10**9,
    ).write(request)  # fmt: skip
    command = [sys.executable, "-c", DEEP_IN_COMPILED_CODE, str(request)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"at work\n"
            process.send_signal(number)
            assert process.wait(10) == -number
        finally:
            process.kill()
