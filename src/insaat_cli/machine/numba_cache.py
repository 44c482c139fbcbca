"""Where numba keeps what it compiled, so that only the first run after installation compiles.

Numba itself writes beside the package or, where it cannot, into the user's cache folder. Without
either, as in a read-only container, it would refuse to load the package at all.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from insaat_cli.errors import NotWritableError

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
MARKER = "insaat-compiled.txt"


def cache_variables(environment: Mapping[str, str], package: Path) -> dict[str, str]:
    """What to set before numba is loaded; nothing where it finds a folder by itself.

    `package` is the folder of this package.
    """
    if cache_folder(environment, package) is not None:
        return {}
    try:
        return {CACHE_VARIABLE: str(private_folder(Path(tempfile.gettempdir())))}
    except OSError:  # no folder can be written: commands that compile nothing work all the same
        return {}


def require_folder(environment: Mapping[str, str], package: Path) -> None:
    """NotWritableError where no folder can be had: numba then refuses to load what compiles."""
    if cache_folder(environment, package) is None:
        raise NotWritableError(
            "no folder for compiled code is writable",
            hint="set TMPDIR or NUMBA_CACHE_DIR to a writable folder",
        )


@dataclass(frozen=True, kw_only=True)
class Cache:
    """The cache of this package's code, as it is now."""

    folder: Path | None
    """None if there is none."""
    fingerprint: str
    """Changes with every change of the code, and with Python and numba."""

    @classmethod
    def found(cls, environment: Mapping[str, str], package: Path) -> Cache:
        """The cache that numba will use under `environment`."""
        parts = [str(package), sys.version, metadata.version("numba")]
        for source in sorted((package / "engine").rglob("*.py")):
            status = source.stat()
            parts.append(f"{source} {status.st_size} {status.st_mtime_ns}")
        fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return cls(folder=cache_folder(environment, package), fingerprint=fingerprint)

    @property
    def warm(self) -> bool:
        """Everything was compiled. Without a folder, compiling beforehand would help nobody."""
        if self.folder is None:
            return True
        with suppress(OSError):
            return (self.folder / MARKER).read_text(encoding="utf-8") == self.fingerprint
        return False

    def mark(self) -> None:
        """Say that everything was compiled; the next to look sees that nothing is to be done."""
        if self.folder is not None:
            with suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / MARKER).write_text(self.fingerprint, encoding="utf-8")


def cache_folder(environment: Mapping[str, str], package: Path) -> Path | None:
    """Where numba will keep the compiled code of `package`; None if nowhere. Makes no folder.

    It takes the first that can be written to, and makes it where it is missing.
    """
    chosen = environment.get(CACHE_VARIABLE)
    own = [Path(chosen)] if chosen else []
    places = (*own, package / "engine" / "__pycache__", _user_folder(environment))
    return next((place for place in places if _can_hold_files(place)), None)


def private_folder(parent: Path) -> Path:
    """A folder in `parent`, where everyone can write, that is nobody's but ours.

    The same at every call, so that compiled code is found again. It holds code: a folder that
    another user made beforehand is left alone, and a new one is made under another name.
    """
    folder = parent / f"insaat-numba-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022
        if private and found.st_uid == os.getuid():
            return folder
    return Path(tempfile.mkdtemp(prefix="insaat-numba-", dir=parent))


def _user_folder(environment: Mapping[str, str]) -> Path:
    """Where numba looks for the user's cache folder."""
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 (never raises)
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "numba"
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "numba"


def _can_hold_files(folder: Path) -> bool:
    """Whether files can be made there, once the folder is made if it is missing."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
