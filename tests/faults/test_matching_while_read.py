"""Matching while its progress is read as often as possible, two hundred times over.

Two copies of SQLite on one file crash in every second to every fiftieth run, by how busy the
machine is (`test_pycolmap_backend.py` finds them every time). One run at a time, each in a process
of its own, as a crash ends it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from insaat_cli.engine.colmap.database import open_database
from insaat_cli.pipeline.stage_contract import StageRequest
from insaat_cli.scenes import make_photo_set

from .harness import reconstruct

TIMES = 200
PAUSES_S = (0.0, 0.001)
"""Without any pause reader and writer fall into step, and crash less often."""
READ_ALL_THE_TIME = """
import sys
from insaat_cli.engine.sfm import pycolmap_backend
from insaat_cli.stages import matching
pycolmap_backend.COUNT_EVERY_S = float(sys.argv[2])
pycolmap_backend.PHOTOS_HELD = 2  # pairs that are written at a time: there is more to read
sys.exit(matching.run_stage(matching.main))
"""


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of six photos that were matched."""
    folder = tmp_path_factory.mktemp("six")
    photos = make_photo_set(folder / "photos", photos=6, width=640, height=480, arc=120).images
    reconstruct(photos, folder / "out", "--until", "matching").expect(0)
    return folder / "out"


def geometry_of(database: Path) -> str:
    """Hash of all that was found."""

    def found() -> Iterator[bytes]:
        with open_database(database) as store:
            for pair in store.two_view_geometries():
                yield f"{pair.first} {pair.second} {pair.config}".encode()
                yield pair.inliers.tobytes() + pair.fundamental.tobytes()

    return hashlib.sha256(b"".join(found())).hexdigest()


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_matching_lives_while_it_is_read(matched: Path, tmp_path: Path) -> None:
    request = StageRequest.read(matched / "logs" / "matching.request.json")
    wanted = geometry_of(matched / "stages" / "matching" / "database.db")
    failed = []
    for number in range(TIMES):
        output = tmp_path / f"matching-{number}"
        output.mkdir()
        replace(request, output=output).write(output / "request.json")
        pause = str(PAUSES_S[number % len(PAUSES_S)])
        request_file = str(output / "request.json")
        command = [sys.executable, "-P", "-c", READ_ALL_THE_TIME, request_file, pause]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            failed.append(f"run {number}: {done.returncode}\n{done.stderr[-2000:]}")
        else:
            assert geometry_of(output / "database.db") == wanted
        shutil.rmtree(output)
    assert not failed, f"{len(failed)} of {TIMES} failed; the first: {failed[0]}"
