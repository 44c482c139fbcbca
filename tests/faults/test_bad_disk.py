"""Places where results cannot be written; what was there stays, and a later run goes on."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest

from .harness import contents, reconstruct, run_record, statuses

USAGE, STAGE = 2, 5


def test_output_is_a_file(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("precious")
    reconstruct(photos, target).expect(USAGE, "out", "-o")
    assert target.read_text() == "precious"


def test_output_below_a_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    reconstruct(photos, tmp_path / "file" / "out").expect(USAGE, "-o")
    assert (tmp_path / "file").read_text() == "precious"


def test_read_only_output(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fixed"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0:
        folder.chmod(0o555)
    elif subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("root writes everywhere, and cannot mount a read-only disk here")
    try:
        reconstruct(photos, folder).expect(USAGE, "cannot write", "-o")
        reconstruct(photos, folder / "deeper").expect(USAGE, "cannot write", "-o")
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_and_then_a_larger_one(photos: Path, small_disk: Path) -> None:
    before = contents(photos)
    outcome = reconstruct(photos, small_disk / "out", "--until", "features")
    outcome.expect(STAGE, "not enough disk space")
    assert contents(photos) == before
    larger = ["mount", "-o", "remount,size=200m", str(small_disk)]
    subprocess.run(larger, check=True)
    reconstruct(photos, small_disk / "out", "--until", "features").expect(0)
    assert statuses(small_disk / "out")["features"] == "done"


def test_quota_on_the_size_of_files(photos: Path, tmp_path: Path) -> None:
    """What a full disk is where none can be mounted: no file may grow beyond a limit."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    outcome = reconstruct(photos, tmp_path / "out", "--until", "features", preexec_fn=limit)
    outcome.expect(STAGE, "no space")
    reconstruct(photos, tmp_path / "out", "--until", "features").expect(0)


def test_output_inside_the_photos(photos: Path) -> None:
    """One inside is fine, and its own pictures are no photos of the next run."""
    before = contents(photos)
    out = photos / "model"
    for expected in ("done", "skipped"):
        reconstruct(photos, out, "--until", "resize", "--recursive").expect(0)
        assert len(run_record(out)["photos"]) == 8
        assert statuses(out)["resize"] == expected
    after = {name: digest for name, digest in contents(photos).items() if name in before}
    assert after == before


def test_output_is_the_photo_folder(photos: Path) -> None:
    before = contents(photos)
    reconstruct(photos, photos).expect(USAGE, "-o")
    assert contents(photos) == before
