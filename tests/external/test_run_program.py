"""Programs that do what programs do: print, crash, fail, run out of memory, are not there."""

from __future__ import annotations

import io
import signal
import stat
from pathlib import Path

import pytest

from insaat_cli.errors import InsaatError, MemoryLimitError, MissingError, StageError
from insaat_cli.external.program_progress import Phase
from insaat_cli.external.run_program import ProgramCall, complaint, run_program, split_lines


def script(folder: Path, body: str) -> ProgramCall:
    path = folder / "TextureMesh"
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return ProgramCall(program="TextureMesh", arguments=["-i", "a b"], folder=folder)


@pytest.fixture(autouse=True)
def found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSAAT_OPENMVS_BIN", str(tmp_path))


def ending(folder: Path, body: str) -> InsaatError:
    with pytest.raises(InsaatError) as caught:
        run_program(script(folder, body), lambda share: None)
    return caught.value


def test_its_lines_come_back_and_its_arguments_are_no_shell_words(tmp_path: Path) -> None:
    assert run_program(script(tmp_path, 'echo "$2"; pwd'), lambda share: None) == [
        "a b",
        str(tmp_path),
    ]


def test_progress_comes_from_overwritten_lines_and_is_kept_out_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = script(tmp_path, r'printf "Painted 1 (25.00%%, ETA 3s)...\rPainted 2 (75%%)\rdone\n"')
    shares: list[float] = []
    run_program(
        ProgramCall(
            program=call.program,
            arguments=[],
            folder=tmp_path,
            phases=[Phase(text="Painted")],
        ),
        shares.append,
    )
    assert shares == [0.25, 0.75, 0.75]
    logged = capsys.readouterr().out
    assert "done" in logged
    assert "25.00%" not in logged


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGSEGV, "segmentation fault"), (signal.SIGABRT, "aborted")]
)
def test_a_crash_is_a_fault_of_the_stage(
    tmp_path: Path, number: signal.Signals, words: str
) -> None:
    error = ending(tmp_path, f"echo error: corrupted heap; kill -{int(number)} $$")
    assert type(error) is StageError
    assert "TextureMesh crashed" in error.message
    assert words in error.message
    assert "corrupted heap" in error.hint


def test_an_illegal_instruction_means_another_processor(tmp_path: Path) -> None:
    error = ending(tmp_path, f"kill -{int(signal.SIGILL)} $$")
    assert type(error) is MissingError
    assert "a different processor" in error.message
    assert "portable" in error.hint


@pytest.mark.parametrize("end", [f"kill -{int(signal.SIGABRT)} $$", "exit 1", "exit 134"])
def test_bad_alloc_is_a_lack_of_memory_however_it_ends(tmp_path: Path, end: str) -> None:
    body = f"echo \"terminate called after throwing an instance of 'std::bad_alloc'\"; {end}"
    assert type(ending(tmp_path, body)) is MemoryLimitError


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 137"])
def test_a_killed_program_leaves_the_judgement_to_the_runner(tmp_path: Path, end: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run_program(script(tmp_path, end), lambda share: None)
    assert caught.value.code == 137


def test_a_failure_tells_what_the_program_complained_of(tmp_path: Path) -> None:
    error = ending(
        tmp_path, "echo fine; echo 'error: empty initial mesh'; echo '} ENDINFO'; exit 1"
    )
    assert error.message == "TextureMesh failed with exit status 1"
    assert "empty initial mesh" in error.hint
    assert "fine" not in error.hint
    assert complaint([]) == "no output"


def test_a_missing_program_and_one_for_another_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = script(tmp_path, "")
    (tmp_path / "TextureMesh").write_bytes(b"\x7fELF no program")
    with pytest.raises(MissingError, match="cannot start TextureMesh"):
        run_program(call, lambda share: None)
    (tmp_path / "TextureMesh").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("insaat_cli.external.run_program.require", _nowhere)
    with pytest.raises(MissingError, match="not installed"):
        run_program(call, lambda share: None)


def _nowhere(program: str) -> str:
    raise MissingError(f"{program} is not installed")


def test_lines_split_over_chunks_and_the_last_one_without_an_end() -> None:
    assert list(split_lines(io.BufferedReader(io.BytesIO(b"one\r\n\r10%\rtw\xffo")))) == [
        ("one", True),
        ("10%", True),
        ("tw\N{REPLACEMENT CHARACTER}o", False),
    ]
