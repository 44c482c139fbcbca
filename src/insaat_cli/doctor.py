"""Is everything here that the default pipeline needs, and what are the limits of this machine?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import insaat_cli
from insaat_cli import __version__
from insaat_cli.errors import MissingError
from insaat_cli.external.programs import family_of
from insaat_cli.formatting import GIGABYTE, counted, size
from insaat_cli.machine.available_memory import AvailableMemory
from insaat_cli.machine.limits import machine_limits
from insaat_cli.machine.memory_budget import memory_budget
from insaat_cli.machine.numba_cache import cache_folder
from insaat_cli.pipeline.defaults import DEFAULT_PIPELINE
from insaat_cli.pipeline.definition import Requirement
from insaat_cli.pipeline.loader import find_pipeline, shipped_pipelines
from insaat_cli.runner.requirements import Found, find_program

PACKAGE = "insaat-cli"
MODULE_OF_PACKAGE = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pyyaml": "yaml",
}
"""Where the name to import is not the name to install."""
REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)[^;]*?(?:>=\s*([0-9][0-9.]*))?")
OLDEST_PYTHON = (3, 11)
LOW_BUDGET_BYTES = 2 * GIGABYTE
LOW_DISK_BYTES = 5 * GIGABYTE
IMPORT_DEADLINE_S = 120
IMPORTS_AT_A_TIME = 2


class Health(StrEnum):
    """How a check came out; only a problem keeps the default pipeline from running."""

    GOOD = "good"
    OPTIONAL = "optional"
    """Not there, and not needed unless another pipeline is asked for."""
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health
    found: str
    needed: str = ""
    advice: str = ""
    """What to do; "" where all is well."""


ImportTest = Callable[[str], str]
"""Module name → "" or why it cannot be imported."""


def examine_machine(folder: Path, *, import_test: ImportTest | None = None) -> list[Check]:
    """All checks; `folder` is where results would go."""
    return [
        _python(),
        *_packages(import_test or import_fault),
        *_programs(),
        *_limits(),
        _disk(folder),
        _temporary_folder(),
        _compiler_threads(import_test or import_fault),
        _compiler_cache(),
    ]


def require_health(checks: list[Check]) -> None:
    """Raise MissingError where a check found what the default pipeline cannot do without."""
    problems = [check.name for check in checks if check.health is Health.PROBLEM]
    if problems:
        raise MissingError(
            f"{counted(len(problems), 'problem')}: {', '.join(problems)}",
            hint="apply the fixes listed above",
        )


def import_fault(module: str) -> str:
    """Why `module` cannot be imported; "" if it can. In a process of its own: it may crash."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", f"import {module}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=IMPORT_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"import takes more than {IMPORT_DEADLINE_S} s"
    if ended.returncode == 0:
        return ""
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"import failed with status {ended.returncode}"


def _python() -> Check:
    good = sys.version_info[:2] >= OLDEST_PYTHON
    return Check(
        name="Python",
        health=Health.GOOD if good else Health.PROBLEM,
        found=f"{platform.python_version()} ({sys.executable}), insaat {__version__}",
        needed="{}.{}".format(*OLDEST_PYTHON),
        advice="" if good else "install a newer Python, then insaat in it",
    )


def _packages(import_test: ImportTest) -> Iterator[Check]:
    needed = dict(_requirements())
    with ThreadPoolExecutor(IMPORTS_AT_A_TIME) as pool:
        faults = pool.map(import_test, [MODULE_OF_PACKAGE.get(name, name) for name in needed])
        for (name, oldest), fault in zip(needed.items(), faults, strict=True):
            yield _package(name, oldest, fault)


def _package(name: str, oldest: str, fault: str) -> Check:
    advice = f"pip install --upgrade '{name}{'>=' + oldest if oldest else ''}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(
            name=name, health=Health.PROBLEM, found="not installed", needed=oldest, advice=advice
        )
    if fault:
        found = f"{version}, but it cannot be imported: {fault}"
        return Check(
            name=name,
            health=Health.PROBLEM,
            found=found,
            needed=oldest,
            advice=f"{advice} --force-reinstall",
        )
    old = _numbers(version) < _numbers(oldest)
    return Check(
        name=name,
        health=Health.PROBLEM if old else Health.GOOD,
        found=version,
        needed=oldest,
        advice=advice if old else "",
    )


def _requirements() -> Iterator[tuple[str, str]]:
    """Name and oldest version of every package that this one depends on."""
    for line in importlib.metadata.requires(PACKAGE) or []:
        specification, _, marker = line.partition(";")
        match = REQUIREMENT.fullmatch(specification.strip())
        if match and "extra" not in marker and _is_for_here(marker):
            yield match[1].lower(), match[2] or ""


def _is_for_here(marker: str) -> bool:
    """Whether a package's marker, a list of machines and systems that have it, means this one."""
    return not marker.strip() or any(
        f'"{name}"' in marker.replace("'", '"') for name in (platform.machine(), sys.platform)
    )


def _programs() -> Iterator[Check]:
    """One check for each set of programs that is installed together."""
    needed: dict[str, list[Requirement]] = {}
    users: dict[str, list[str]] = {}
    for name in shipped_pipelines():
        for requirement in find_pipeline(name).requires:
            family = family_of(requirement.program)
            key = family.name if family else requirement.program
            requirements = needed.setdefault(key, [])
            if all(other.program != requirement.program for other in requirements):
                requirements.append(requirement)
            if name not in users.setdefault(key, []):
                users[key].append(name)
    for key, requirements in needed.items():
        yield _program_check(key, [find_program(one) for one in requirements], users[key])


def _program_check(name: str, found: list[Found], pipelines: list[str]) -> Check:
    bad = [one for one in found if one.problem]
    versions = sorted({one.version for one in found if one.version})
    folders = sorted({str(Path(one.path).parent) for one in found if one.path})
    here = " ".join([*versions, *folders])
    default = DEFAULT_PIPELINE in pipelines
    missing = [one for one in bad if one.path is None]
    problem = "; ".join(one.problem for one in bad)
    if len(missing) == len(found):
        problem = "not installed"
    elif len(missing) > 1 and len(missing) == len(bad):
        names = ", ".join(one.requirement.program for one in missing)
        problem = f"{here}; not installed: {names}"
    hints = list(dict.fromkeys(one.hint for one in bad if one.hint))
    only = [] if default else [f"needed only for --pipeline {' and '.join(pipelines)}"]
    health = Health.PROBLEM if default else Health.WARNING
    if not default and problem == "not installed":
        health = Health.OPTIONAL
    return Check(
        name=name,
        health=health if bad else Health.GOOD,
        found=problem or here,
        needed=max((one.requirement.version for one in found), key=_numbers),
        advice="; ".join([*only, *hints]) if bad else "",
    )


def _limits() -> Iterator[Check]:
    limits = machine_limits()
    yield Check(
        name="processor cores",
        health=Health.GOOD,
        found=f"{limits.cores} ({limits.cores_source})",
    )
    chosen = memory_budget(limits, None)
    budget = chosen.memory_bytes
    low = budget < LOW_BUDGET_BYTES
    yield Check(
        name="memory",
        health=Health.WARNING if low else Health.GOOD,
        found=f"{size(limits.memory_bytes)} ({limits.memory_source}); "
        f"a run uses at most {size(budget)} ({chosen.origin})",
        needed=f"{size(LOW_BUDGET_BYTES)} for a run",
        advice="use --preset draft, or raise the budget with --max-memory 90%" if low else "",
    )
    others = [f"{size(value)} ({source})" for value, source in limits.other_limits]
    if others:
        yield Check(name="other memory limits", health=Health.GOOD, found=", ".join(others))
    around = AvailableMemory()
    around.look()
    short = around.available_bytes < budget
    yield Check(
        name="memory available now",
        health=Health.WARNING if short else Health.GOOD,
        found=size(around.available_bytes),
        needed=f"{size(budget)} to use all of the budget",
        advice="close other programs; otherwise runs wait for memory or use less" if short else "",
    )


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    low = free < LOW_DISK_BYTES
    return Check(
        name="free disk space",
        health=Health.WARNING if low else Health.GOOD,
        found=f"{size(free)} here",
        needed=size(LOW_DISK_BYTES),
        advice="free some space, or write results to another disk with -o" if low else "",
    )


def _temporary_folder() -> Check:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"insaat")
    except OSError as error:
        return Check(
            name="temporary folder",
            health=Health.PROBLEM,
            found=str(error),
            advice="set TMPDIR to a writable folder",
        )
    return Check(name="temporary folder", health=Health.GOOD, found=tempfile.gettempdir())


def _compiler_threads(import_test: ImportTest) -> Check:
    """Which library numba's parallel loops run on; its own always works."""
    layers = {"tbb": "numba.np.ufunc.tbbpool", "omp": "numba.np.ufunc.omppool"}
    usable = [name for name, module in layers.items() if not import_test(module)]
    return Check(
        name="numba threading layers",
        health=Health.GOOD,
        found=", ".join([*usable, "workqueue"]),
    )


def _compiler_cache() -> Check:
    """Where numba keeps compiled code; without a place every run compiles anew."""
    folder = cache_folder(os.environ, Path(insaat_cli.__file__).parent)
    if folder is not None:
        return Check(name="cache of compiled code", health=Health.GOOD, found=str(folder))
    return Check(
        name="cache of compiled code",
        health=Health.WARNING,
        found="no writable folder for it: every run spends a few seconds compiling",
        advice="set NUMBA_CACHE_DIR to a writable folder",
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
