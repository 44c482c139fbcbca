"""The Dockerfile and the compose file, as far as they can be judged without a Docker engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.availability import missing

ROOT = Path(__file__).resolve().parents[2]
SECRET = "${INSAAT_S3_SECRET}"


def beside_python(program: str) -> str:
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    return found or missing(program)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return found


def stages() -> dict[str, list[str]]:
    """Instructions of the Dockerfile by the name of their stage; the last one is ""."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("FROM"):
            words = line.split()
            current = found.setdefault(words[3] if len(words) > 2 else "", [])
        if line.strip() and not line.startswith("#") and found:
            current.append(line)
    return found


def test_hadolint_has_nothing_to_say() -> None:
    ran = subprocess.run(
        [beside_python("hadolint"), str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_image_runs_as_nobody_special_and_carries_no_compiler() -> None:
    found = stages()
    assert any(line.startswith("USER 10001") for line in found["runtime"])
    assert found[""] == ["FROM runtime"]
    assert found["classic"][0] == "FROM runtime AS classic"
    runtime = "\n".join(found["runtime"])
    assert "gcc" not in runtime and "build-essential" not in runtime
    assert "--max-jobs 0" in "\n".join(found["programs"]), "published programs, nothing compiled"


def test_what_the_image_copies_is_there() -> None:
    for line in stages()["build"]:
        if line.startswith("COPY"):
            assert all((ROOT / name).exists() for name in line.split()[1:-1])


def test_compose_file_fits_its_schema() -> None:
    ran = subprocess.run(
        [beside_python("check-jsonschema"), "--builtin-schema", "vendor.compose-spec",
         str(ROOT / "compose.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_compose_services_fit_together() -> None:
    services = compose()["services"]
    assert services["storage"]["image"] == _manifest_image()
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
    worker = services["worker"]["environment"]
    assert worker["INSAAT_S3_ENDPOINT"] == "http://storage:8333"
    assert worker["AWS_SECRET_ACCESS_KEY"].startswith(SECRET[:-1])
    assert worker["INSAAT_BROKER"].endswith("@broker:6379/0")
    assert services["broker"]["command"][-2:] == ["--requirepass", SECRET]
    assert all(
        port.startswith("127.0.0.1:") for one in services.values() for port in one.get("ports", ())
    )
    identities = json.loads(compose()["configs"]["s3"]["content"])["identities"]
    assert identities[0]["credentials"] == [
        {"accessKey": worker["AWS_ACCESS_KEY_ID"], "secretKey": SECRET}
    ]
    compile(services["bucket"]["command"][0], "bucket", "exec")


def _manifest_image() -> str:
    for document in yaml.safe_load_all((ROOT / "deploy" / "seaweedfs.yaml").read_text()):
        if document["kind"] == "Deployment":
            return str(document["spec"]["template"]["spec"]["containers"][0]["image"])
    raise AssertionError("no deployment")


def test_nothing_is_made_for_this_processor_alone() -> None:
    ran = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        pytest.skip("not a checkout of git: the list of files is unknown")
    asking = ("-march=" + "native", "-mcpu=" + "native", "-mtune=" + "native")
    for name in filter(None, ran.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in (".md", ".py", ".png", ".jpg", ".glb") or not path.is_file():
            continue  # words about it, and pictures
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not [flag for flag in asking if flag in text], name
