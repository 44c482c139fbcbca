"""One reconstruction, as a process of its own below the worker.

    python -m insaat_cli.remote.worker.reconstruct_job REQUEST.json

The worker starts it behind the guard, without credentials: it sees photos in a folder and writes
into another, and knows nothing of stores. Run events go to the event pipe as JSON lines.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import ExitCode, InsaatError, fault_of
from insaat_cli.pipeline.stage_contract import EVENTS_FD_VARIABLE
from insaat_cli.planning.deadlines import Deadlines
from insaat_cli.reconstruction.options import ReconstructionOptions
from insaat_cli.reconstruction.reconstruct import reconstruct
from insaat_cli.remote.queue.published_result import VIEWER_NAME
from insaat_cli.remote.worker.blame import blame_of
from insaat_cli.runner.events import RunEvent, event_fields
from insaat_cli.workspace.workspace import explain_disk

MODEL_NAME = "model.glb"


@dataclass(frozen=True, kw_only=True)
class ExecuteRequest:
    """What to reconstruct, and with what."""

    photos: Path
    output: Path
    pipeline: str
    preset: str
    settings: tuple[str, ...]
    formats: tuple[str, ...]
    memory_bytes: int
    threads: int
    silence_s: float | None
    stage_s: float | None

    def write(self, path: Path) -> None:
        fields = {**self.__dict__, "photos": str(self.photos), "output": str(self.output)}
        path.write_text(json.dumps(fields, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> ExecuteRequest:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            **{
                **raw,
                "photos": Path(raw["photos"]),
                "output": Path(raw["output"]),
                "settings": tuple(raw["settings"]),
                "formats": tuple(raw["formats"]),
            }
        )


def main(request: ExecuteRequest) -> int:
    """Reconstruct; the exit code is that of `insaat reconstruct`."""
    stream = os.fdopen(int(os.environ.pop(EVENTS_FD_VARIABLE)), "w", buffering=1, encoding="utf-8")

    def listener(event: RunEvent) -> None:
        with suppress(BrokenPipeError):
            stream.write(json.dumps(event_fields(event), default=str) + "\n")

    options = ReconstructionOptions(
        sources=(request.photos,),
        output=request.output,
        pipeline=request.pipeline,
        preset=request.preset,
        settings=request.settings,
        formats=request.formats,
        max_memory=str(request.memory_bytes),
        threads=request.threads,
        recursive=True,
        deadlines=Deadlines(silence_s=request.silence_s, stage_s=request.stage_s),
    )
    try:
        with explain_disk(request.output):
            done = reconstruct(options, listener)
            if any(path.name == MODEL_NAME for path in done.run.results):
                write_viewer(request.output)
    except InsaatError as error:
        fields = {
            "event": "attempt_failed",
            "fault": fault_of(error).value,
            "blame": blame_of(error).value,
            "message": error.message,
            "hint": error.hint,
            "stage": error.stage,
        }
        stream.write(json.dumps(fields) + "\n")
        with suppress(OSError):  # the log lies on the same disk, which may be full
            print(error.message, error.hint, sep="\n", file=sys.stderr, flush=True)
        return int(error.code)
    return int(ExitCode.DONE)


def write_viewer(output: Path) -> None:
    """The page that `insaat share` links to: model and viewer in one file, without photos."""
    # Late: it takes a second, which the photos need not wait for.
    from insaat_cli.viewer.page import single_file
    from insaat_cli.viewer.scene import read_scene

    page = single_file(read_scene(output), photos=False)
    (output / VIEWER_NAME).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(ExecuteRequest.read(Path(sys.argv[1]))))
