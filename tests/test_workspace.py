"""The workspace: publishing, markers, the lock, results, and what a disk can do to us."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from insaat_cli.errors import StageError, UsageError
from insaat_cli.fingerprint import photos_fingerprint, stage_fingerprint, stage_identity
from insaat_cli.pipeline import Stage
from insaat_cli.workspace import Workspace, disk_error, explain_disk, write_json


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "out")
    with workspace.locked():
        pass
    return workspace


def publish(workspace: Workspace, text: str, fingerprint: str = "f") -> None:
    folder = workspace.begin("one")
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").write_text(text)
    (folder / "result.json").write_text("{}")
    workspace.publish("one", {"fingerprint": fingerprint}, ("images/",))


def test_a_published_stage_holds_for_its_fingerprint_only(workspace: Workspace) -> None:
    publish(workspace, "abc")
    assert workspace.marker("one", "f") is not None
    assert workspace.marker("one", "g") is None
    assert workspace.marker("two", "f") is None
    assert not workspace.scratch("one").exists()


def test_publishing_again_replaces_all(workspace: Workspace) -> None:
    publish(workspace, "abc")
    (workspace.folder("one") / "stale.txt").write_text("x")
    publish(workspace, "defg", "g")
    assert workspace.marker("one", "g") is not None
    assert (workspace.folder("one") / "images" / "a.jpg").read_text() == "defg"
    assert sorted(p.name for p in workspace.stages.iterdir()) == ["one"]
    assert not (workspace.folder("one") / "stale.txt").exists()


@pytest.mark.parametrize("damage", ["truncated", "missing", "marker", "marker_not_json"])
def test_a_damaged_stage_does_not_hold(workspace: Workspace, damage: str) -> None:
    publish(workspace, "abc")
    folder = workspace.folder("one")
    if damage == "truncated":
        (folder / "images" / "a.jpg").write_text("ab")
    elif damage == "missing":
        (folder / "result.json").unlink()
    elif damage == "marker":
        (folder / "stage.json").unlink()
    else:
        (folder / "stage.json").write_text("[1")
    assert workspace.marker("one", "f") is None


def test_leftovers_of_a_killed_run_are_removed(workspace: Workspace) -> None:
    publish(workspace, "abc")
    workspace.begin("two").joinpath("half").write_text("x")
    (workspace.stages / "one.old").mkdir()
    workspace.clean()
    assert sorted(p.name for p in workspace.stages.iterdir()) == ["one"]


def hold(root: Path, ready: object, release: object) -> None:
    with Workspace(root).locked():
        ready.set()  # type: ignore[attr-defined]
        release.wait(20)  # type: ignore[attr-defined]


def test_two_runs_cannot_share_a_workspace(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, ready, release))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(UsageError, match="another run"), Workspace(tmp_path).locked():
            pass
    finally:
        release.set()
        other.join()
    with Workspace(tmp_path).locked():
        pass


def test_results_are_independent_copies(workspace: Workspace) -> None:
    publish(workspace, "abc")
    placed = workspace.place_results("one", ())
    assert [path.name for path in placed] == ["images"]
    (workspace.root / "images" / "a.jpg").write_text("edited")
    assert workspace.marker("one", "f") is not None
    assert workspace.place_results("one", ("images/a.jpg",)) == (workspace.root / "a.jpg",)
    with pytest.raises(StageError, match=r"did not write model\.obj"):
        workspace.place_results("one", ("model.obj",))


def test_a_name_that_is_not_unicode_survives_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"photo\xff\n.jpg")
    write_json(tmp_path / "photos.json", {"name": name})
    assert json.loads((tmp_path / "photos.json").read_text())["name"] == name


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.ENOSPC, StageError, "no space left"),
        (errno.EDQUOT, StageError, "no space left"),
        (errno.EROFS, UsageError, "cannot write"),
        (errno.EACCES, UsageError, "cannot write"),
        (errno.ENOTDIR, UsageError, "not a folder"),
        (errno.EIO, StageError, "cannot write"),
    ],
)
def test_disk_faults_are_explained(number: int, kind: type[Exception], says: str) -> None:
    error = disk_error(OSError(number, os.strerror(number)), Path("/out"))
    assert isinstance(error, kind)
    assert says in error.message


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match="is a file"), Workspace(tmp_path / "out").locked():
        pass
    with pytest.raises(UsageError), Workspace(tmp_path / "out" / "in").locked():
        pass


def test_a_full_disk_leaves_the_old_text(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"a": 1})
    with pytest.raises(StageError, match="no space left"), explain_disk(tmp_path):
        write_json(tmp_path / "run.json", Full())
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": 1}


class Full:
    def __str__(self) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_changes_a_fingerprint() -> None:
    stage = Stage(name="one", title="one", run="m", params={"a": 1}, needs=("zero",))
    base = stage_fingerprint(stage, {"zero": "x"}, "photos")
    assert base == stage_fingerprint(stage, {"zero": "x", "other": "y"}, "other photos")
    assert base != stage_fingerprint(stage, {"zero": "y"}, "photos")
    for change in ({"version": 2}, {"params": {"a": 2}}, {"run": "n"}, {"outputs": ("x",)}):
        other = Stage(**{**vars(stage), **change})
        assert base != stage_fingerprint(other, {"zero": "x"}, "photos"), change
    root = Stage(name="zero", title="zero", run="m")
    assert stage_fingerprint(root, {}, "a") != stage_fingerprint(root, {}, "b")
    assert photos_fingerprint([("a", "1"), ("b", "2")]) == photos_fingerprint(
        [("b", "2"), ("a", "1")]
    )
    assert photos_fingerprint([("a", "1"), ("b", "2")]) != photos_fingerprint(
        [("a", "2"), ("b", "1")]
    )
    assert stage_identity(base, {"a": 1}) != stage_identity(base, {"a": 2})
