"""`insaat view` as a user starts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.viewer.box_scene import textured_box

from insaat_cli.cli.app import run
from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.viewer.server import ViewServer


def test_a_model_of_an_earlier_run_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ViewServer, "serve_forever", lambda self, poll_interval: None)
    (tmp_path / "model.glb").write_bytes(glb_bytes(textured_box()))
    command = ["view", str(tmp_path), "--no-browser"]
    assert run(command) == 0
    assert "note" not in capsys.readouterr().out
    record = {"started": "2026-01-02T03:04:05", "finished": None, "error": None}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert run(command) == 0
    said = "note: model.glb is from an earlier run; the last run has not ended"
    assert said in capsys.readouterr().out
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["note"] == said.removeprefix("note: ")
