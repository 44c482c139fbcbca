"""Files of others are neither replaced nor written through, and a marker says which are ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from insaat_cli.errors import UsageError
from insaat_cli.workspace.ownership import (
    EXPORT,
    MARKER_NAME,
    RECONSTRUCT,
    check_folder,
    claim_folder,
    made_by,
)

NAMES = ("model.glb", "stages/one")


def test_an_empty_or_missing_folder_becomes_ours(tmp_path: Path) -> None:
    for folder in (tmp_path / "empty", tmp_path / "not" / "there"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        check_folder(folder, RECONSTRUCT, NAMES)
        claim_folder(folder, RECONSTRUCT, NAMES)
        assert made_by(folder, RECONSTRUCT) == set(NAMES)
        (folder / "model.glb").write_text("ours")
        claim_folder(folder, RECONSTRUCT, NAMES)


def test_checking_writes_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path / "out", RECONSTRUCT, NAMES)
    assert not list(tmp_path.iterdir())


def test_a_file_of_the_name_is_refused_and_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("precious")
    claim_folder(tmp_path, RECONSTRUCT, NAMES)
    (tmp_path / "cup.stl").write_text("theirs")
    with pytest.raises(UsageError, match=r"cup\.stl, which insaat export did not make") as caught:
        claim_folder(tmp_path, EXPORT, ("cup.stl",))
    assert "--overwrite" in caught.value.hint and "-o" in caught.value.hint
    claim_folder(tmp_path, EXPORT, ("cup.stl",), overwrite=True)
    assert made_by(tmp_path, EXPORT) == {"cup.stl"}
    assert (tmp_path / "holiday.jpg").read_text() == "precious"


def test_what_one_command_made_another_does_not_replace(tmp_path: Path) -> None:
    claim_folder(tmp_path, RECONSTRUCT, NAMES)
    (tmp_path / "model.glb").write_text("ours")
    with pytest.raises(UsageError, match="did not make"):
        check_folder(tmp_path, EXPORT, ("model.glb",))


def test_overwriting_replaces_no_folder(tmp_path: Path) -> None:
    (tmp_path / "stages" / "one").mkdir(parents=True)
    with pytest.raises(UsageError, match="is a folder that insaat did not make"):
        claim_folder(tmp_path, RECONSTRUCT, NAMES, overwrite=True)


def test_overwriting_does_not_write_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.glb").symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError):
        claim_folder(tmp_path / "out", RECONSTRUCT, NAMES)
    claim_folder(tmp_path / "out", RECONSTRUCT, NAMES, overwrite=True)
    (tmp_path / "out" / "model.glb").write_text("model")
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("text", ["", "[1]", '{"made": 3}', '{"made": {"model.glb": 1}}'])
def test_a_marker_that_says_nothing_makes_nothing_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER_NAME).write_text(text)
    (tmp_path / "model.glb").write_text("theirs")
    with pytest.raises(UsageError):
        check_folder(tmp_path, RECONSTRUCT, NAMES)


def test_the_marker_is_there_before_what_it_names(tmp_path: Path) -> None:
    claim_folder(tmp_path / "out", RECONSTRUCT, NAMES)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MARKER_NAME]
    made = json.loads((tmp_path / "out" / MARKER_NAME).read_text())["made"]
    assert made == dict.fromkeys(NAMES, RECONSTRUCT)


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_root_of_the_file_system(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "root").symlink_to("/")
    for folder in (Path("/"), tmp_path / ".." / ".." / ".." / "..", tmp_path / "root"):
        if folder.resolve() == Path("/"):
            with pytest.raises(UsageError, match="root of the file system"):
                check_folder(folder, RECONSTRUCT, NAMES, overwrite=overwrite)


def test_what_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        check_folder(tmp_path / "file" / "out", RECONSTRUCT, NAMES)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="not a folder"):
        check_folder(tmp_path / "nowhere", RECONSTRUCT, NAMES)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(UsageError, match="cannot write to"):
        check_folder(tmp_path / "out", RECONSTRUCT, NAMES)
