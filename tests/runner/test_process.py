"""One child: its events, its memory, its end, and that nothing of it outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from insaat_cli.machine.process_memory import ProcessMemory, process_memory
from insaat_cli.runner.process import ChildProcess, ChildSpec, child_environment

WAIT_S = 20.0


def start(tmp_path: Path, code: str, *, network: bool = True) -> ChildProcess:
    return ChildProcess(
        ChildSpec(
            arguments=(sys.executable, "-c", code),
            folder=tmp_path,
            log=tmp_path / "log.txt",
            threads=2,
            network=network,
        )
    )


def wait(child: ChildProcess) -> int:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        child.sample()
        if (code := child.exit_code()) is not None:
            return code
        time.sleep(0.01)
    raise AssertionError("the child does not end")


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} is not written")


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still alive")


def test_events_log_and_memory(tmp_path: Path) -> None:
    code = """
import os, time
out = os.fdopen(int(os.environ["INSAAT_EVENTS_FD"]), "w", buffering=1)
out.write('{"event": "progress", "share": 0.5}\\nnot json\\n[1]\\n{"event": "war')
out.flush()
x = b"x" * 80_000_000
time.sleep(0.4)
out.write('ning", "text": "a"}\\n')
print("to the log", os.environ["OMP_NUM_THREADS"], os.getcwd())
"""
    child = start(tmp_path, code)
    assert wait(child) == 0
    events = child.events()
    child.close()
    assert [event["event"] for event in events] == ["progress", "warning"]
    assert 80_000_000 < child.peak_bytes < 130_000_000
    assert (tmp_path / "log.txt").read_text() == f"to the log 2 {tmp_path}\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139),
        ("import os; os.abort()", 134),
    ],
)
def test_exit_codes(tmp_path: Path, code: str, expected: int) -> None:
    child = start(tmp_path, code)
    assert wait(child) == expected
    child.close()


BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_processor_seconds_are_those_of_the_whole_tree(tmp_path: Path) -> None:
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])\n"
    children = [start(tmp_path, BUSY + inner), start(tmp_path, "")]
    busy, idle = children
    assert busy.cpu_seconds == 0
    for child in children:
        assert wait(child) == 0
        child.close()
    assert 0.6 <= busy.cpu_seconds < 1.6
    assert 0 < idle.cpu_seconds < 0.3


def test_processor_seconds_of_a_stopped_child(tmp_path: Path) -> None:
    child = start(tmp_path, f"{BUSY}open('up', 'w').write('1'); time.sleep(60)")
    wait_for(tmp_path / "up")
    child.stop()
    assert child.cpu_seconds >= 0.3
    child.close()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    child = ChildProcess(
        ChildSpec(arguments=("no-such-program", "-x"), folder=tmp_path, log=log, threads=1)
    )
    assert wait(child) == 127
    child.close()
    assert "cannot start no-such-program" in log.read_text()


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("pids.tmp", "w").write(f"{os.getpid()} {inner.pid}")
os.rename("pids.tmp", "pids")
time.sleep(60)
"""


def test_stop_reaches_grandchildren_and_the_deaf(tmp_path: Path) -> None:
    child = start(tmp_path, STUBBORN)
    pids = [int(pid) for pid in wait_for(tmp_path / "pids").split()]
    began = time.monotonic()
    child.stop(deadline_s=0.3)
    assert time.monotonic() - began < 5
    child.close()
    for pid in (*pids, child.pid):
        assert_gone(pid)


def test_a_polite_stage_ends_at_once(tmp_path: Path) -> None:
    child = start(tmp_path, "open('up', 'w').write('1'); import time; time.sleep(60)")
    wait_for(tmp_path / "up")
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < 2
    assert child.exit_code() == 128 + signal.SIGTERM
    child.close()


def test_a_grandchild_left_behind_is_killed(tmp_path: Path) -> None:
    child = start(tmp_path, STUBBORN.replace("time.sleep(60)\n", "sys.exit(0)\n"))
    inner = int(wait_for(tmp_path / "pids").split()[1])
    assert wait(child) == 0
    child.close()
    assert_gone(inner)


@pytest.mark.parametrize("victim", ["runner", "guard"])
def test_kill_9_of_those_above_leaves_no_stage(tmp_path: Path, victim: str) -> None:
    if victim == "guard" and sys.platform != "linux":
        pytest.skip("only Linux can tie a child to its parent")
    runner_code = f"""
import sys, time
from pathlib import Path
from insaat_cli.runner.process import ChildProcess, ChildSpec
child = ChildProcess(ChildSpec(arguments=(sys.executable, "-c", {STUBBORN!r}),
                     folder=Path.cwd(), log=Path("log.txt"), threads=1))
Path("guard").write_text(str(child.pid))
time.sleep(60)
"""
    runner = subprocess.Popen([sys.executable, "-c", runner_code], cwd=tmp_path)
    try:
        pids = [int(pid) for pid in wait_for(tmp_path / "pids").split()]
        guard = int(wait_for(tmp_path / "guard"))
        if victim == "runner":
            runner.kill()
            runner.wait()
            for pid in (*pids, guard):
                assert_gone(pid)
        else:
            os.kill(guard, signal.SIGKILL)
            assert_gone(pids[0])
            psutil.Process(pids[1]).kill()
    finally:
        runner.kill()
        runner.wait()


def test_credentials_stay_with_us() -> None:
    ours = {"AWS_ACCESS_KEY_ID": "x", "GITHUB_TOKEN": "x", "DB_PASSWORD": "x", "MY_SECRET_X": "x"}
    ours |= {"INSAAT_BROKER": "amqp://us:them@rabbit:5672/", "HTTPS_PROXY": "http://u:p%40@proxy/"}
    others = {"PATH": "/bin", "LANG": "C", "TOKENIZERS": "1", "PAGE": "http://host:80/a@b"}
    kept = child_environment({**ours, **others}, 3)
    assert not set(ours) & set(kept)
    assert others.items() <= kept.items()
    assert kept["NUMBA_NUM_THREADS"] == "3"


SOCKETS = """
import socket, subprocess, sys
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
    try:
        socket.socket(family).close()
        print(family.name, "opened")
    except PermissionError:
        print(family.name, "refused")
if len(sys.argv) == 1:  # and what it starts fares no better
    subprocess.run([sys.executable, *sys.orig_argv[1:], "again"], check=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
@pytest.mark.parametrize(("network", "word"), [(True, "opened"), (False, "refused")])
def test_a_child_without_network_has_the_sockets_of_this_machine_only(
    network: bool, word: str, tmp_path: Path
) -> None:
    child = start(tmp_path, SOCKETS, network=network)
    assert wait(child) == 0
    once = f"AF_INET {word}\nAF_INET6 {word}\nAF_UNIX opened\n"
    assert (tmp_path / "log.txt").read_text() == 2 * once


COUNTING = """
import time
from pathlib import Path
while True:
    with Path("count").open("a") as stream:
        stream.write("x")
    time.sleep(0.02)
"""


def count(folder: Path) -> int:
    return (folder / "count").stat().st_size


def test_a_paused_child_stands_still_with_its_children_and_goes_on(tmp_path: Path) -> None:
    child = start(
        tmp_path, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {COUNTING!r}])"
    )
    try:
        wait_for(tmp_path / "count")
        child.pause()
        time.sleep(0.2)
        before = count(tmp_path)
        time.sleep(0.3)
        assert count(tmp_path) == before
        assert child.exit_code() is None
        child.resume()
        deadline = time.monotonic() + WAIT_S
        while count(tmp_path) == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert count(tmp_path) > before
    finally:
        child.close()


def test_a_paused_child_hears_that_it_is_to_end(tmp_path: Path) -> None:
    child = start(tmp_path, COUNTING)
    wait_for(tmp_path / "count")
    child.pause()
    child.stop(deadline_s=WAIT_S)
    assert child.exit_code() == 128 + signal.SIGTERM
    child.close()


def test_a_paused_child_dies_with_us(tmp_path: Path) -> None:
    """The guard must not be paused: it alone sees that the runner is gone."""
    code = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.runner.test_process import start, wait_for, COUNTING
child = start(Path({str(tmp_path)!r}), COUNTING)
wait_for(Path({str(tmp_path / "count")!r}))
child.pause()
Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert_gone(int(wait_for(tmp_path / "pid")))


def test_memory_is_followed_up_and_down_without_a_walk_over_every_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = []

    def walk(pid: int) -> ProcessMemory:
        walks.append(pid)
        return process_memory(pid)

    monkeypatch.setattr("insaat_cli.runner.process.process_memory", walk)
    child = start(
        tmp_path, "import time\nx = b'x' * 60_000_000\ntime.sleep(1)\ndel x\ntime.sleep(1.5)"
    )
    samples, low = 0, []
    while child.exit_code() is None:
        samples += child.sample()
        low.append(child.used_bytes)
        time.sleep(0.02)
    child.close()
    assert 60_000_000 < child.peak_bytes < 100_000_000
    assert min(low[len(low) // 2 : -5]) < 40_000_000
    assert samples >= 4 * 2, "at least four times a second"
    assert len(walks) < 2 * samples * 0.7


def test_the_peak_is_the_same_beside_others_that_use_the_same_libraries(tmp_path: Path) -> None:
    """Memory shared with others counts in parts now, in full for what is predicted.

    The library is a file of this test's own, mapped as a loader does: real ones are in use by
    other processes of the tests, too."""
    library = tmp_path / "library"
    library.write_bytes(os.urandom(60_000_000))
    code = (
        "import mmap, time\n"
        f"with open({str(library)!r}, 'rb') as file:\n"
        "    code = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)\n"
        "code[::4096]\nprint('up', flush=True)\ntime.sleep({})"
    )
    folders = [tmp_path / name for name in ("alone", "others", "beside")]
    for folder in folders:
        folder.mkdir()

    def run(folder: Path, seconds: float) -> ChildProcess:
        child = start(folder, code.format(seconds))
        while b"up" not in (folder / "log.txt").read_bytes():
            time.sleep(0.02)
        return child

    def last_sample(child: ChildProcess) -> int:
        child.sample()
        time.sleep(1.1)  # when the exact measurement is due
        child.sample()
        child.stop()
        return child.used_bytes

    alone = run(folders[0], 9)
    used_alone = last_sample(alone)
    others = run(folders[1], 30)
    beside = run(folders[2], 9)
    used_beside = last_sample(beside)
    others.stop()

    assert used_beside < used_alone
    assert beside.peak_bytes == pytest.approx(alone.peak_bytes, rel=0.06)
