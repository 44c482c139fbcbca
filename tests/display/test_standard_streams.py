"""Whatever becomes of what is printed: the program goes on, and says so once at most."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from insaat_cli.display.standard_streams import fault_of, is_reader_gone, outlast_readers
outlast_readers()
"""
GONE = "insaat: cannot write to stdout: No space left on device; continuing without it\n"


def shell(redirection: str, code: str, tmp_path: Path) -> tuple[str, int]:
    """What is on the file that `code` writes for itself, and the exit status."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + code, encoding="utf-8")
    told = tmp_path / "told"
    command = f'"$0" "$1" {redirection}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, str(program)],
        cwd=tmp_path, check=False, timeout=60,
    )  # fmt: skip
    return (told.read_text(encoding="utf-8") if told.exists() else ""), done.returncode


WRITES = """
for number in range(20):
    print("line", number, flush=True)
    print("warning", number, file=sys.stderr)
    time.sleep(0.01)
with open("told", "a") as told:
    print(fault_of(sys.stdout), file=told)
print("unflushed")
"""


@pytest.mark.parametrize(
    ("redirection", "stdout", "stderr"),
    [
        ("2>err | head -1 > out", "line 0\n", 20),
        ("2>&1 >/dev/full | cat > err", "", 21),
        (">/dev/full 2>/dev/full", "", 0),
        (">&- 2>err", "", 20),
        (">out 2>&-", "line 0\n", 0),
        ("<&- >&- 2>&-", "", 0),
        (">out 2>err", "line 0\n", 20),
    ],
)
def test_lost_output_ends_nothing(
    redirection: str, stdout: str, stderr: int, tmp_path: Path
) -> None:
    told, code = shell(redirection, WRITES, tmp_path)
    assert told, "the program came to its end"
    assert code == 0
    for name, begin in (("out", stdout), ("err", "")):
        text = (tmp_path / name).read_text(encoding="utf-8") if (tmp_path / name).exists() else ""
        assert text.startswith(begin)
        assert "Traceback" not in text and "BrokenPipe" not in text
        if name == "err":
            assert len(text.splitlines()) == stderr
            assert text.count(GONE) == ("2>&1" in redirection)


def test_closed_stdout_is_not_the_number_of_the_next_file(tmp_path: Path) -> None:
    code = """
with open("told", "w") as told:
    os.write(1, b"a library prints")
    told.write(str(told.fileno() > 2))
"""
    assert shell(">&- <&-", code, tmp_path) == ("True", 0)


def test_characters_that_the_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    told, code = shell(">told", 'print("ü\\udce9")', tmp_path)
    assert code == 0
    assert told.endswith("\\udce9\n")


def test_full_pipe_of_others_who_made_it_non_blocking_is_waited_for(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + 'print("x" * 300_000)', encoding="utf-8")
    got: list[bytes] = []

    def read_slowly() -> None:
        while chunk := os.read(reading, 65536):
            got.append(chunk)
            time.sleep(0.01)

    reader = threading.Thread(target=read_slowly)
    with subprocess.Popen([sys.executable, str(program)], stdout=writing) as running:
        os.close(writing)
        time.sleep(0.3)
        reader.start()
        assert running.wait(timeout=30) == 0
    reader.join(timeout=10)
    os.close(reading)
    assert len(b"".join(got)) == 300_001
