"""Where a program is: a folder that the user names, PATH, or one of the usual places."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from insaat_cli.errors import MissingError


@dataclass(frozen=True, kw_only=True)
class Family:
    """Programs that are installed together."""

    name: str
    variable: str
    """Environment variable that names the folder of the programs."""
    folders: tuple[str, ...]
    """Usual places; ~ is the user's home."""
    prefixes: tuple[str, ...]
    """Other names that packages give a program: these in front of it."""
    install: str
    """How each platform installs them, in words."""


OPENMVG = Family(
    name="OpenMVG",
    variable="INSAAT_OPENMVG_BIN",
    folders=(
        "/usr/local/bin",
        "/usr/bin",
        "/usr/local/openMVG/bin",
        "/usr/local/bin/OpenMVG",
        "/usr/lib/openmvg",
        "/opt/openMVG/bin",
        "/opt/homebrew/bin",
        "~/.local/bin",
        "~/.nix-profile/bin",
        "/run/current-system/sw/bin",
    ),
    prefixes=(),
    install=(
        "OpenMVG is available from Nix (nixpkgs: openmvg), vcpkg (openmvg, on Windows and macOS) "
        "or the Dockerfile target `classic`; then put its programs on PATH, or set "
        "INSAAT_OPENMVG_BIN to their folder"
    ),
)
OPENMVS = Family(
    name="OpenMVS",
    variable="INSAAT_OPENMVS_BIN",
    folders=(
        "/usr/local/bin/OpenMVS",
        "/usr/bin/OpenMVS",
        "/usr/local/bin",
        "/usr/bin",
        "/opt/OpenMVS/bin",
        "/opt/openMVS/bin",
        "/opt/homebrew/bin/OpenMVS",
        "/snap/bin",
        "~/.nix-profile/bin",
        "/run/current-system/sw/bin",
    ),
    prefixes=("openmvs.",),
    install=(
        "OpenMVS is available from its release page (Windows, macOS, Ubuntu), snap (openmvs), Nix "
        "(nixpkgs: openmvs), vcpkg (openmvs) or the Dockerfile target `classic`; then put its "
        "programs on PATH, or set INSAAT_OPENMVS_BIN to their folder"
    ),
)
COLMAP = Family(
    name="COLMAP",
    variable="INSAAT_COLMAP_BIN",
    folders=(
        "/usr/local/bin",
        "/usr/bin",
        "/opt/homebrew/bin",
        "~/.local/bin",
        "~/.nix-profile/bin",
    ),
    prefixes=(),
    install=(
        "pip install pycolmap, if there is a wheel for this system; else the colmap program: "
        "apt-get install colmap on Debian and Ubuntu, brew install colmap on macOS, nixpkgs: "
        "colmap; then put it on PATH, or set INSAAT_COLMAP_BIN to its folder"
    ),
)
OPENMVG_PREFIX = "openMVG_main_"
OPENMVS_PROGRAMS = (
    "InterfaceCOLMAP",
    "DensifyPointCloud",
    "ReconstructMesh",
    "RefineMesh",
    "TextureMesh",
)


def family_of(program: str) -> Family | None:
    """The family that `program` belongs to; None for any other program."""
    if program.startswith(OPENMVG_PREFIX):
        return OPENMVG
    if program == "colmap":
        return COLMAP
    return OPENMVS if program in OPENMVS_PROGRAMS else None


def locate(program: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Path of `program`; None where it is nowhere.

    The folder in the family's variable comes first, then PATH, then the usual places.
    """
    environment = os.environ if environment is None else environment
    search_path = environment.get("PATH", os.defpath)
    family = family_of(program)
    if family is None:
        return shutil.which(program, path=search_path)
    chosen = environment.get(family.variable, "")
    usual = os.pathsep.join(str(Path(folder).expanduser()) for folder in family.folders)
    for folders in (chosen, search_path, usual):
        for name in (program, *(prefix + program for prefix in family.prefixes)):
            found = shutil.which(name, path=folders) if folders else None
            if found:
                return str(Path(found).absolute())
    return None


def require(program: str) -> str:
    """Path of `program`. Raises MissingError that says how to install it."""
    path = locate(program)
    if path is None:
        family = family_of(program)
        raise MissingError(
            f"{program} is not installed",
            hint=family.install if family else "install it and put it on PATH",
        )
    return path
