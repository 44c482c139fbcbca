"""A pipeline of quick stages, for tests of everything around a reconstruction.

`write_pipeline` makes the YAML file; run as a script, this file is the stage itself. What a stage
does beyond writing its output can be asked for in a file that the test changes while it runs.
"""

from __future__ import annotations

import os
import signal
import sys
import time
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
    if what == "hang":
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
