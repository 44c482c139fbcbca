"""What a worker publishes is what its run made."""

from __future__ import annotations

import json
from pathlib import Path

from insaat_cli.remote.worker.published_files import published_files


def test_only_results_of_the_run_are_published(tmp_path: Path) -> None:
    names = ("model.glb", "old.obj", "photos.json", "report.html", "view.html", "stray.txt")
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "textures").mkdir()
    (tmp_path / "run.json").write_text(json.dumps({"results": ["model.glb", "textures", "gone"]}))
    found = {path.name for path in published_files(tmp_path)}
    assert found == {"model.glb", "run.json", "report.html", "view.html"}
