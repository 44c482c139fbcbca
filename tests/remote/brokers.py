"""Real RabbitMQ and Redis servers on loopback, from Debian's packages, and moto in place of SQS.

Each has a folder of its own for its data, and ports, a node name and a cookie of its own, so that
it meets no other server of this machine, and can be killed and started again on the same data.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

USER, PASSWORD = "insaat", "pass/word@1"
"""With characters that an address must encode."""
ENCODED = "pass%2Fword%401"
READY_S = 90.0
RABBIT_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Behind the wrappers in /usr/sbin, which change the user, the folder and the environment."""


class BrokerServer(Protocol):
    """One that can be killed."""

    url: str

    def start(self) -> None: ...
    def kill(self) -> None: ...


def find_rabbitmq() -> bool:
    return (RABBIT_SCRIPTS / "rabbitmq-server").exists() and find_epmd() is not None


def find_epmd() -> str | None:
    found = sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
    return shutil.which("epmd") or (str(found[-1]) if found else None)


def find_redis() -> str | None:
    return shutil.which("redis-server")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_ready(ready: Callable[[], bool], what: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if ready():
            return
        time.sleep(0.1)
    text = log.read_text(errors="replace")[-3000:] if log.exists() else ""
    raise RuntimeError(f"{what} did not start:\n{text}")


def end_group(process: subprocess.Popen[bytes] | None) -> None:
    """SIGKILL to the process and all that it started."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class RabbitServer:
    """`rabbitmq-server` with one user, and a port mapper (epmd) of its own."""

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        """`certificate`: a PEM file with the server's key and chain; it then speaks TLS, too."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self._dist_port, self._epmd_port, tls_port = free_ports(4)
        self.url = f"amqp://{USER}:{ENCODED}@127.0.0.1:{self.port}/"
        self.tls_url = f"amqps://{USER}:{ENCODED}@localhost:{tls_port}/"
        self._node = f"insaat-{secrets.token_hex(4)}@localhost"
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._log = folder / "server.log"
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            f"default_user = {USER}\ndefault_pass = {PASSWORD}\n"
            "loopback_users = none\nlog.console = false\ndisk_free_limit.absolute = 10MB\n"
            + (
                f"listeners.ssl.default = 127.0.0.1:{tls_port}\n"
                f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {certificate}\n"
                if certificate
                else ""
            )
        )
        (folder / "plugins").write_text("[].\n")

    def start(self) -> None:
        epmd = find_epmd()
        assert epmd is not None
        log = self._log.open("ab")
        with log:
            if self._epmd is None:
                self._epmd = subprocess.Popen(
                    [epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"],
                    stdout=log, stderr=log, env=self._environment(), start_new_session=True,
                )  # fmt: skip
            self._process = subprocess.Popen(
                [str(RABBIT_SCRIPTS / "rabbitmq-server")],
                stdout=log, stderr=log, cwd=self.folder, env=self._environment(),
                start_new_session=True,
            )  # fmt: skip
        wait_ready(self._answers, "RabbitMQ", self.folder / "log" / f"{self._node}.log")

    def _answers(self) -> bool:
        """It speaks AMQP, and its virtual host is there."""
        assert self._process is not None and self._process.poll() is None, self._log.read_text()
        from kombu import Connection

        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
                return True
        except Exception:
            return False

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        end_group(self._process)
        self._process = None

    def close(self) -> None:
        self.kill()
        end_group(self._epmd)
        self._epmd = None

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{RABBIT_SCRIPTS}:{os.environ['PATH']}",
            "HOME": str(self.folder),  # of the cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            # Little of a machine that runs other things: no waiting in circles, two schedulers.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }


class RedisServer:
    """`redis-server` that writes every command to its disk."""

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        """`certificate`: a PEM file with the server's key and chain; it then speaks TLS, too."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, tls_port = free_ports(2)
        self.url = f"redis://:{ENCODED}@127.0.0.1:{self.port}/0"
        self.tls_url = f"rediss://:{ENCODED}@localhost:{tls_port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "server.log"
        (folder / "redis.conf").write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {PASSWORD}\ndir {folder}\n"
            'appendonly yes\nappendfsync always\nsave ""\n'
            + (
                f"tls-port {tls_port}\ntls-cert-file {certificate}\ntls-key-file {certificate}\n"
                f"tls-ca-cert-file {certificate}\ntls-auth-clients no\n"
                if certificate
                else ""
            )
        )

    def start(self) -> None:
        program = find_redis()
        assert program is not None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, str(self.folder / "redis.conf")],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_ready(self._answers, "Redis", self._log)

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self._log.read_text()
        from redis import Redis

        try:
            return bool(Redis(port=self.port, password=PASSWORD).ping())
        except Exception:
            return False

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        end_group(self._process)
        self._process = None

    close = kill
