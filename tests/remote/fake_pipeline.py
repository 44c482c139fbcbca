"""A pipeline of quick stages, for tests of everything around a reconstruction.

`write_pipeline` makes the YAML file; run as a script, this file is the stage itself. What a stage
does beyond writing its output can be asked for in a file that the test changes while it runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

STAGES = ("one", "two", "three")


def write_pipeline(
    folder: Path, *, seconds: float = 0.2, name: str = "fake", megabytes: int = 20
) -> Path:
    """Three stages of `seconds` each. folder/deeds says what a stage does: "two exit"."""
    title, base = name, megabytes
    stages = []
    for before, name in zip((None, *STAGES), STAGES, strict=False):
        arguments = [sys.executable, str(Path(__file__).resolve()), name, "{output}"]
        arguments += ["{params.seconds}", str(folder / "deeds"), str(folder / "starts")]
        listed = ", ".join(f"'{argument}'" for argument in arguments)
        stages.append(
            f"  - name: {name}\n    title: stage {name}\n    command: [{listed}]\n"
            f"    needs: [{before or ''}]\n    params: {{seconds: {seconds}}}\n"
            f"    outputs: [{name}.bin]\n    memory: {{base_mb: {base}}}\n    time: {{base_s: 1}}\n"
        )
    path = folder / f"{title}.yaml"
    head = f"name: {title}\nsummary: quick stages\nrequires: []\nstages:\n"
    path.write_text(head + "".join(stages))
    return path


def main(name: str, output: str, seconds: str, deeds: str, starts: str) -> None:
    with Path(starts).open("a") as file:
        file.write(f"{name} {os.getpid()}\n")
    print(f"stage {name} at work", flush=True)
    wanted = Path(deeds).read_text().split() if Path(deeds).exists() else []
    if wanted[:1] == [name]:
        deed(wanted[1], Path(output))
        if wanted[1] == "spy":
            spied = {"secrets": secrets_of_ancestors(wanted[2]), "calls": calls(int(wanted[3]))}
            Path(deeds).with_name("spied").write_text(json.dumps(spied))
    time.sleep(float(seconds))
    Path(output, f"{name}.bin").write_bytes(name.encode() * 1000)


def deed(what: str, output: Path) -> None:
    if what == "exit":
        sys.exit(1)
    if what == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "oom":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "oom_run":  # the process that runs the stages, behind the guard
        psutil.Process().parent().parent().kill()
        time.sleep(600)
    if what == "fill":
        (output / "large").write_bytes(bytes(100_000_000))
    if what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if what == "hang":
        time.sleep(600)


def secrets_of_ancestors(secret: str) -> list[str]:
    """Which files of which process show the secret (its hex, so that we do not find ourselves)."""
    wanted = bytes.fromhex(secret)
    found = []
    for process in psutil.Process().parents():
        root = Path("/proc", str(process.pid))
        for name in ("environ", "cmdline", "mem"):
            with contextlib.suppress(OSError, ValueError):
                shown = memory(root) if name == "mem" else [(root / name).read_bytes()]
                if any(wanted in part for part in shown):
                    found.append(f"{name} of {process.name()} {process.pid}")
    return found


def memory(root: Path) -> Iterator[bytes]:
    """What the process wrote into its own memory."""
    with (root / "mem").open("rb") as file:
        for line in (root / "maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(text, 16) for text in place.split("-"))
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    file.seek(start)
                    yield file.read(end - start)


def calls(port: int) -> dict[str, str]:
    """What becomes of a connection, by the address that it asks for."""
    became = {}
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port), timeout=2).close()
            became[host] = "connected"
        except OSError as error:
            became[host] = type(error).__name__
    return became


if __name__ == "__main__":
    main(*sys.argv[1:])
