"""Running OpenMVS's programs in a stage's folder."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from insaat_cli.external.program_progress import Phase
from insaat_cli.external.run_program import ProgramCall, run_program

IMAGES = "images"
SCENE = "scene.mvs"
LEFTOVERS = ("*.log", "*.dmap", "*.cfg")
NO_OPTIONS = frozenset({"enabled", "sub_scenes"})
"""Fields that are ours, not the program's."""


@contextmanager
def scene_folder(output: Path, scene: Path, *others: Path) -> Iterator[Path]:
    """A working folder with `scene.mvs`, its photos and `others` in it; only results stay.

    OpenMVS looks for the photos of a scene below its working folder, and writes its depth maps
    and logs there. Links keep the stages' folders apart at no cost.
    """
    (output / IMAGES).symlink_to(scene / IMAGES, target_is_directory=True)
    taken = [scene / SCENE, *others]
    for path in taken:
        _link(path, output / path.name)
    try:
        yield output
    finally:
        (output / IMAGES).unlink()
        for path in taken:
            (output / path.name).unlink(missing_ok=True)
        for pattern in LEFTOVERS:
            for leftover in output.glob(pattern):
                leftover.unlink()


def run_openmvs(
    program: str,
    arguments: Sequence[str],
    options: Any,
    folder: Path,
    *,
    threads: int,
    phases: Sequence[Phase],
    progress: Callable[[float], None],
) -> list[str]:
    """Run one of OpenMVS's programs in `folder`; returns the last lines it printed."""
    everything = [*arguments, "-w", str(folder), "--max-threads", str(threads)]
    return run_program(
        ProgramCall(
            program=program,
            arguments=[*everything, *option_arguments(options)],
            folder=folder,
            phases=phases,
        ),
        progress,
    )


def option_arguments(options: Any) -> list[str]:
    """An options dataclass as --long-options; fields that are None are left to the program."""
    arguments = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name in NO_OPTIONS or value is None:
            continue
        whole = isinstance(value, int)  # truth values too
        text = str(int(value)) if whole else f"{value:g}" if isinstance(value, float) else value
        arguments += ["--" + field.name.replace("_", "-"), text]
    return arguments


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
