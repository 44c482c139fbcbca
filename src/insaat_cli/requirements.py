"""The programs that a pipeline needs: are they there, and new enough?"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from insaat_cli.errors import MissingError
from insaat_cli.pipeline import Pipeline, Requirement

VERSION = re.compile(r"\d+(?:\.\d+)+")
ANSWER_DEADLINE_S = 20


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found of a required program; `problem` is "" where it will do."""

    requirement: Requirement
    path: str | None
    version: str
    """"" where the program does not tell."""
    problem: str


def find_program(requirement: Requirement) -> Found:
    """Look for a program on PATH and ask for its version, where one is required."""
    path = shutil.which(requirement.program)
    version = _version(path, requirement.arguments) if path and requirement.version else ""
    problem = ""
    if path is None:
        problem = f"{requirement.program} is not installed"
    elif version and _numbers(version) < _numbers(requirement.version):
        problem = (
            f"{requirement.program} is version {version}, {requirement.version} is the oldest "
            "that works"
        )
    return Found(requirement=requirement, path=path, version=version, problem=problem)


def check_requirements(pipeline: Pipeline) -> None:
    """Raise MissingError that names every program that is missing or too old."""
    bad = [found for found in map(find_program, pipeline.requires) if found.problem]
    if bad:
        hints = [found.requirement.hint for found in bad if found.requirement.hint]
        raise MissingError(
            f"pipeline {pipeline.name}: " + "; ".join(found.problem for found in bad),
            hint="\n".join(hints) or "install it, or use another pipeline (insaat pipelines list)",
        )


def _version(path: str, arguments: tuple[str, ...]) -> str:
    try:
        answer = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ANSWER_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = VERSION.search(answer.stdout.decode("utf-8", "replace"))
    return match.group() if match else ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
