"""Every stage of `embedded` with the smallest and the largest value of each of its numbers.

It ends with a result, or with an error of its own: never with a traceback, never without an end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from insaat_cli.pipeline.loader import find_pipeline
from tests.fakes.extremes import extremes
from tests.faults.harness import insaat_command

LONGEST_S = 600
MEMORY_BYTES = 4_000_000_000
STAGES = find_pipeline("embedded").stages
CASES = [
    (stage.name, name, value)
    for stage in STAGES
    for name, value in extremes(str(stage.run).rpartition(".")[2])
]


@pytest.fixture(scope="module")
def finished(statue_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished")
    command = insaat_command("reconstruct", statue_photos, "-o", output, "--preset", "draft", "-q")
    subprocess.run(command, check=True, timeout=LONGEST_S)
    return output


@pytest.mark.long
@pytest.mark.parametrize(("stage", "name", "value"), CASES)
def test_ends_of_every_range(
    finished: Path, tmp_path: Path, stage: str, name: str, value: float
) -> None:
    request = json.loads((finished / "logs" / f"{stage}.request.json").read_text())
    request["params"][name] = value
    request["output"], request["memory_bytes"] = str(tmp_path), MEMORY_BYTES
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request))
    module = next(str(one.run) for one in STAGES if one.name == stage)
    done = subprocess.run(
        [sys.executable, "-m", module, str(path)],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or '"event": "error"' in done.stderr, done.stderr[-2000:]
    assert (tmp_path / "result.json").exists() or done.returncode
