"""Which COLMAP does the structure from motion."""

from __future__ import annotations

from importlib.util import find_spec

from insaat_cli.engine.sfm.mapping_backend import MappingBackend
from insaat_cli.errors import MissingError, UsageError
from insaat_cli.external.colmap_program import COLMAP_PROGRAM, ProgramBackend
from insaat_cli.external.programs import COLMAP, locate

AUTO, PYCOLMAP, PROGRAM = "AUTO", "PYCOLMAP", "PROGRAM"


def choose_backend(wanted: str) -> MappingBackend:
    """The COLMAP that is asked for; AUTO takes pycolmap, without it the program.

    Raises MissingError that says how to install what is missing.
    """
    if wanted not in (AUTO, PYCOLMAP, PROGRAM):
        raise UsageError(
            f"invalid backend {wanted}", hint=f"choose from {AUTO}, {PYCOLMAP}, {PROGRAM}"
        )
    has_package = find_spec("pycolmap") is not None
    if wanted == PYCOLMAP or (wanted == AUTO and has_package):
        if not has_package:
            raise MissingError("pycolmap is not installed", hint="pip install pycolmap")
        from insaat_cli.engine.sfm.pycolmap_backend import PycolmapBackend

        return PycolmapBackend()
    if locate(COLMAP_PROGRAM) is None:
        raise MissingError(
            "neither pycolmap nor the colmap program is installed"
            if wanted == AUTO
            else "the colmap program is not installed",
            hint=COLMAP.install,
        )
    return ProgramBackend()
