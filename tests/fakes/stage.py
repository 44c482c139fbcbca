"""A stage that does what its parameters say: the runner's tests tell it how to go wrong.

Run as a file (it is no package member for the child), with the request of the stage contract.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from insaat_cli.errors import DoNotFitError, StageError
from insaat_cli.pipeline.stage_contract import Events, Metrics, StageRequest, run_stage

ERRORS = {
    "memory": MemoryError(),
    "do_not_fit": DoNotFitError("only 2 photos could be registered", hint="overlap more"),
    "stage": StageError("the depth maps are empty", hint="try again"),
    "disk_full": OSError(28, "No space left on device"),
}
EXITS: dict[str, int | str] = {
    "bad_alloc": "terminate called after throwing an instance of 'std::bad_alloc'",
    "exit": 3,
}


def main(request: StageRequest, events: Events) -> Metrics:
    params = dict(request.params)
    folder = request.output
    started = Path(request.photos).parent / "started.txt"
    with started.open("a", encoding="utf-8") as stream:
        stream.write(f"{request.stage}\n")
    text = "".join(
        sorted((inner / "out.txt").read_text(encoding="utf-8") for inner in request.inputs.values())
    )
    (folder / "out.txt").write_text("half", encoding="utf-8")
    events.progress(0.5)
    if params.get("ignore_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if params.get("grandchild"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (started.parent / "grandchild.pid").write_text(str(child.pid), encoding="utf-8")
    (started.parent / f"{request.stage}.pid").write_text(str(os.getpid()), encoding="utf-8")
    ballast = b"x" * int(params.get("ballast_mb", 0) * 1_000_000)
    time.sleep(params.get("sleep", 0.0))
    misbehave(str(params.get("fault", "")), params, request)
    events.warning(f"{request.stage} says hello")
    if params.get("fault") == "nothing":
        return {}
    (folder / "out.txt").write_text(
        f"{text}{request.stage}({json.dumps(params.get('value', 0))})\n", encoding="utf-8"
    )
    return {
        "value": params.get("value", 0),
        "threads": request.threads,
        "mb": len(ballast) // 10**6,
    }


def misbehave(fault: str, params: dict[str, object], request: StageRequest) -> None:
    """Go wrong as `fault` says; not any more with `value` at or below `fault_above`, or twice."""
    limit = params.get("fault_above")
    if isinstance(limit, int) and int(str(params.get("value", 0))) <= limit:
        return
    once = Path(request.photos).parent / "faulted"
    if params.get("fault_once") and once.exists():
        return
    once.touch()
    if fault in ERRORS:
        raise ERRORS[fault]
    if fault in EXITS:
        sys.exit(EXITS[fault])
    if fault == "nothing":
        (request.output / "out.txt").unlink()
    if fault.startswith("SIG"):
        print("about to die", flush=True)
        os.kill(os.getpid(), getattr(signal, fault))
        time.sleep(10)


if __name__ == "__main__":
    sys.exit(run_stage(main))
