"""The programs that a pipeline needs: are they there, and new enough?"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass

from insaat_cli.errors import MissingError
from insaat_cli.external.programs import family_of, locate
from insaat_cli.pipeline.definition import Pipeline, Requirement

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
    hint: str = ""
    """How to get it."""


def find_program(requirement: Requirement) -> Found:
    """Look for a program and ask for its version, where one is required."""
    path = locate(requirement.program)
    family = family_of(requirement.program)
    version, problem = "", ""
    if path and (requirement.version or family):
        version, problem = _ask(path, requirement)
    if path is None:
        problem = f"{requirement.program} is not installed"
    elif version and _numbers(version) < _numbers(requirement.version):
        problem = (
            f"{requirement.program} {version} is too old, version {requirement.version} or newer "
            "is required"
        )
    hint = requirement.hint or (family.install if family else "")
    return Found(requirement=requirement, path=path, version=version, problem=problem, hint=hint)


def check_requirements(pipeline: Pipeline) -> None:
    """Raise MissingError that names every program that is missing or too old."""
    bad = [found for found in map(find_program, pipeline.requires) if found.problem]
    if bad:
        hints = list(dict.fromkeys(found.hint for found in bad if found.hint))
        raise MissingError(
            f"pipeline {pipeline.name}: " + "; ".join(found.problem for found in bad),
            hint="\n".join(hints) or "install it, or use another pipeline (insaat pipelines list)",
        )


def _ask(path: str, requirement: Requirement) -> tuple[str, str]:
    """The version that a program prints, and why it cannot run; "" each where there is none.

    In an empty folder: some programs leave a log wherever they are asked.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="insaat-") as folder:
            answer = subprocess.run(
                [path, *requirement.arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=ANSWER_DEADLINE_S,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return "", ""
    except OSError as error:
        return "", f"{requirement.program} cannot be started: {error.strerror}"
    if answer.returncode in (-signal.SIGILL, 128 + signal.SIGILL):
        return (
            "",
            f"{requirement.program} was built for a different processor (illegal instruction)",
        )
    match = VERSION.search(answer.stdout.decode("utf-8", "replace"))
    return (match.group() if match and requirement.version else ""), ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
