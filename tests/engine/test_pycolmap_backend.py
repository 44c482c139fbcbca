"""How many threads of this process may use which parts of pycolmap."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest

from insaat_cli.engine import pycolmap_backend
from insaat_cli.engine.pycolmap_backend import (
    BLAS_THRESHOLD,
    REPRODUCIBLE_PHOTOS,
    PycolmapBackend,
    adjusting_threads,
    matching_threads,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="wheels for Linux have the fault")


@linux_only
def test_threads_that_match_do_without_the_shared_buffers() -> None:
    library = pycolmap._core.__file__
    assert matching_threads(library, 4) == 4
    # No set of photos has so many features that faiss would call OpenBLAS.
    assert ctypes.c_int.in_dll(ctypes.CDLL(library), BLAS_THRESHOLD).value == 2**31 - 1


@linux_only
def test_one_thread_where_faiss_cannot_be_told(tmp_path: Path) -> None:
    other = np._core._multiarray_umath.__file__
    assert matching_threads(other, 4) == 1
    (tmp_path / "text.so").write_text("not a library")
    assert matching_threads(str(tmp_path / "text.so"), 4) == 1
    assert matching_threads(str(tmp_path / "absent.so"), 4) == 1


def test_other_systems_have_another_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert matching_threads("nowhere", 4) == 4


def test_matching_asks_how_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(pycolmap_backend, "matching_threads", lambda library, threads: threads - 3)
    monkeypatch.setattr(pycolmap, "match_image_pairs", lambda *args, **kw: asked.append(args[1]))
    PycolmapBackend().match(tmp_path / "d.db", tmp_path / "pairs.txt", threads=8)
    assert asked[0].num_threads == 5


def test_cameras_of_few_photos_are_adjusted_by_one_thread() -> None:
    assert adjusting_threads(REPRODUCIBLE_PHOTOS, 8) == 1
    assert adjusting_threads(REPRODUCIBLE_PHOTOS + 1, 8) == 8
