"""No patch is read from outside of a photo, however its corners are rounded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEPS = """
import numpy as np
from insaat_cli.engine.stereo.patchmatch import Neighbours, Planes, Search, refine

generator = np.random.default_rng(7)
gray = generator.integers(0, 255, (64, 64)).astype(np.uint8)
for rows in range(700, 760):  # of the neighbour, whose last rows all patches lie in
    photo = generator.integers(0, 255, (1, rows, 70)).astype(np.float32)
    a, b = generator.uniform(0.5, 3, 2) * 1e-5  # a pixel further is a digit further in 32 bits
    border = rows - 60 * (a + b) * generator.uniform()
    M = np.array([[[0, 0, 35], [a, b, border], [0, 0, 1]]], np.float32)
    w, wx, wy, cost = (np.full((64, 64), value, np.float32) for value in (1.0, 1e-3, 1e-3, 0.0))
    neighbours = Neighbours(
        grays=photo, sizes=np.array([[rows, 70]], np.int32), M=M, T=np.zeros((1, 3), np.float32)
    )
    planes = Planes(w=w, wx=wx, wy=wy, cost=cost)
    refine(planes, gray, 80.0, neighbours, (0.5, 2.0), Search(sweeps=2, seed=rows))
print("inside")
"""


@pytest.mark.timeout(200)
def test_patches_at_the_last_row_stay_inside(tmp_path: Path) -> None:
    """With numba's check of every index, which is off in use."""
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SWEEPS],
        env={**os.environ, **checked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "inside\n", done.stderr[-500:]
