"""The workspace: publishing, markers, the lock, results, and what a disk can do to us."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from insaat_cli.errors import StageError, UsageError
from insaat_cli.pipeline.definition import Stage
from insaat_cli.pipeline.fingerprint import photos_fingerprint, stage_fingerprint, stage_identity
from insaat_cli.workspace.json_file import write_json
from insaat_cli.workspace.workspace import Workspace, disk_error, explain_disk


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "out")
    with workspace.locked(("one", "two")):
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


@pytest.mark.parametrize("at", range(1, 4))
def test_a_kill_within_publication_loses_no_copy(
    workspace: Workspace, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames there was none: both went with the leftovers of the next run."""
    publish(workspace, "old", fingerprint="old")
    renames = [0]
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.parent == workspace.stages:
            renames[0] += 1
            if renames[0] == at:
                raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with contextlib.suppress(KeyboardInterrupt):
        publish(workspace, "new", fingerprint="new")
    monkeypatch.undo()
    workspace.clean()
    assert [path.name for path in workspace.stages.iterdir()] == ["one"]
    text = (workspace.folder("one") / "images" / "a.jpg").read_text()
    assert text == {1: "old", 2: "new", 3: "new"}[at]
    assert workspace.marker("one", text) is not None


def test_outputs_are_on_the_disk_before_their_marker(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    publish(workspace, "abc")
    marker = next(n for n, name in enumerate(flushed) if "stage.json" in name)
    assert "a.jpg" in flushed[:marker]


def test_a_run_does_not_take_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "stages" / "one").mkdir(parents=True)
    (tmp_path / "report.html").write_text("my report")
    workspace = Workspace(tmp_path)
    for lock in (workspace.locked(("two",)), workspace.locked(("one",))):
        with pytest.raises(UsageError, match=r"report\.html.* did not make"), lock:
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "stages"]
    with workspace.locked(("two",), overwrite=True):
        pass
    with pytest.raises(UsageError, match=r"one is a folder"):
        workspace.check(("one",), overwrite=True)


def test_only_own_stages_are_dropped_and_no_link_is_followed(workspace: Workspace) -> None:
    publish(workspace, "abc")
    stranger = workspace.stages / "myplay"
    for name in ("myplay", "other.tmp", "third.old"):
        (workspace.stages / name).mkdir()
        (workspace.stages / name / "act1.txt").write_text("to be")
    elsewhere = workspace.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stage.json").write_text("{}")
    (workspace.stages / "two").symlink_to(elsewhere)
    workspace.clean()
    workspace.withdraw("two")
    (workspace.stages / "two").symlink_to(elsewhere)
    workspace.drop_stages()
    left = sorted(path.name for path in workspace.stages.iterdir())
    assert left == ["myplay", "other.tmp", "third.old"]
    assert (stranger / "act1.txt").read_text() == "to be"
    assert (elsewhere / "stage.json").exists()


def test_a_result_of_somebody_else_is_not_replaced(workspace: Workspace) -> None:
    publish(workspace, "abc")
    (workspace.root / "images").write_text("theirs")
    with pytest.raises(UsageError, match="did not make"):
        workspace.place_results("one")
    assert (workspace.root / "images").read_text() == "theirs"
    workspace.place_results("one", overwrite=True)
    assert (workspace.root / "images" / "a.jpg").read_text() == "abc"


def earlier_version(root: Path, **fields: object) -> None:
    """A workspace as versions before the marker left it."""
    (root / "stages" / "one").mkdir(parents=True)
    (root / "stages" / "one" / "stage.json").write_text('{"fingerprint": "f", "outputs": {}}')
    (root / "photos.json").write_text("{}")
    (root / "model.glb").write_text("model")
    stages = [{"name": "one", "fingerprint": "f"}]
    record = {"format": 1, "insaat": "0.1.0", "pipeline": "embedded", "stages": stages, **fields}
    (root / "run.json").write_text(json.dumps(record))


def test_a_workspace_of_an_earlier_version_is_ours(tmp_path: Path) -> None:
    earlier_version(tmp_path, results=[])
    (tmp_path / "stages" / "myplay").mkdir()
    workspace = Workspace(tmp_path)
    with workspace.locked(("two",), ("model.glb",)):
        assert workspace.marker("one", "f") is not None
    made = json.loads((tmp_path / ".insaat.json").read_text())["made"]
    assert {"run.json", "photos.json", "model.glb", "stages/one", "stages/two"} <= set(made)
    assert "stages/myplay" not in made
    workspace.drop_stages()
    assert [path.name for path in workspace.stages.iterdir()] == ["myplay"]


@pytest.mark.parametrize("fields", [{"pipeline": 3}, {"format": None}, {"stages": ["one"]}])
def test_a_run_json_of_another_program_makes_nothing_ours(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    earlier_version(tmp_path, **fields)
    with pytest.raises(UsageError, match=r"run\.json.* did not make"):
        Workspace(tmp_path).check(("one",), ("model.glb",))


def test_a_run_killed_at_its_very_start_can_go_on(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "..insaat.json.tmp").write_text("{")
    with Workspace(tmp_path).locked(("one",)):
        pass
    (tmp_path / "run.json").write_text("{")
    with Workspace(tmp_path).locked(("one",)):
        pass


def test_an_edited_result_gets_another_name(workspace: Workspace) -> None:
    for edited in ("model.edited.glb", "model.edited-2.glb"):
        (workspace.root / "model.glb").write_text("mine")
        assert workspace.set_aside("model.glb") == workspace.root / edited
    assert not (workspace.root / "model.glb").exists()


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
    results = workspace.place_results("one", ())
    assert [path.name for path in results] == ["images"]
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
        (errno.ENAMETOOLONG, UsageError, "cannot write"),
        (errno.EISDIR, UsageError, "cannot write"),
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


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, says in (("file/deep/er", "file is a file"), ("link/deep", "link is a link to noth")):
        folder = tmp_path / name
        with pytest.raises(UsageError, match=says) as raised, explain_disk(folder, hint="do this"):
            folder.mkdir(parents=True)
        assert raised.value.hint == "do this"


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
