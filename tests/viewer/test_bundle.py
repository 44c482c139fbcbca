"""The built page that is shipped belongs to the sources beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from insaat_cli.viewer.page import asset

WEB = Path(__file__).parents[2] / "web"
BUILT = ("app.js", "style.css", "page.html", "LICENSES.txt", "sources.sha256")


def test_bundle_was_built_from_these_sources() -> None:
    names = [f"src/{path.name}" for path in (WEB / "src").iterdir()]
    digest = hashlib.sha256()
    for name in sorted([*names, "build.mjs", "package-lock.json"]):
        digest.update((WEB / name).read_bytes())
    assert asset("sources.sha256").decode().strip() == digest.hexdigest(), "run `make viewer`"


def test_building_again_gives_the_same_files(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules").is_dir():
        pytest.skip("node and web/node_modules are only there after `make viewer`")
    subprocess.run([node, "build.mjs", str(tmp_path)], cwd=WEB, check=True, capture_output=True)
    for name in BUILT:
        assert (tmp_path / name).read_bytes() == asset(name), name


def test_licence_of_what_is_inside_goes_with_it() -> None:
    text = asset("LICENSES.txt").decode()
    assert "three.js" in text and "Permission is hereby granted" in text


def test_lock_file_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert all("resolved" not in entry for entry in lock["packages"].values())
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
