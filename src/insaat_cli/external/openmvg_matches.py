"""OpenMVG's binary match files and feature files, as far as checks need them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.errors import StageError

Matches = Mapping[tuple[int, int], npt.NDArray[np.uint32]]
"""Two views → features [n, 2] of the one and the other."""


def read_matches(path: Path) -> Matches:
    """The matches in `path`, as cereal's portable binary archive holds them.

    Raises StageError for a file that is cut off.
    """
    try:
        data = path.read_bytes()
        order = "<" if data[0] == 1 else ">"
        count = int(np.frombuffer(data, order + "u8", 1, 1)[0])
        position, found = 9, {}
        for _ in range(count):
            first, second = np.frombuffer(data, order + "u4", 2, position)
            size = int(np.frombuffer(data, order + "u8", 1, position + 8)[0])
            pairs = np.frombuffer(data, order + "u4", 2 * size, position + 16)
            found[int(first), int(second)] = pairs.reshape(-1, 2).astype(np.uint32)
            position += 16 + 8 * size
    except (OSError, IndexError, ValueError) as error:
        raise StageError(f"cannot read {path.name}: {error}") from error
    return found


def count_features(folder: Path) -> dict[str, int]:
    """Features of every photo (by its name without the ending) in a folder of .feat files."""
    counts = {}
    for path in sorted(folder.glob("*.feat")):
        with path.open("rb") as file:
            counts[path.stem] = sum(1 for line in file if line.strip())
    return counts
