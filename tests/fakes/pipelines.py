"""Tiny pipelines of fake stages, plans for them, and a listener that keeps what it hears."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from insaat_cli.pipeline.definition import Pipeline
from insaat_cli.pipeline.loader import parse_pipeline
from insaat_cli.planning.run_plan import RunPlan
from insaat_cli.runner.events import RunEvent

STAGE = Path(__file__).parent / "stage.py"
GIGABYTE = 1_000_000_000
DEFAULTS: dict[str, Any] = {
    "value": 1, "sleep": 0.0, "fault": "", "fault_once": False, "fault_above": None,
    "ignore_term": False, "grandchild": False, "ballast_mb": 0,
}  # fmt: skip


@dataclass(frozen=True)
class FakePhoto:
    name: str
    width: int = 4000
    height: int = 3000

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "path": f"/nowhere/{self.name}", "sha256": self.sha256}


def fake_stage(name: str, needs: list[str] | None = None, **entry: Any) -> dict[str, Any]:
    """A stage's YAML entry; its `params` are added to the defaults."""
    request = "{workspace}/logs/" + name + ".request.json"
    params = {**DEFAULTS, **entry.pop("params", {})}
    return {
        "name": name,
        "title": f"doing {name}",
        "command": [sys.executable, str(STAGE), request],
        "needs": needs or [],
        "params": params,
        "outputs": ["out.txt"],
        "memory": {"base_mb": 50},
        "time": {"base_s": 0.2},
        **entry,
    }


def fake_pipeline(*stages: dict[str, Any]) -> Pipeline:
    return parse_pipeline(yaml.safe_dump({"name": "fake", "stages": list(stages)}), "fake.yaml")


def three_stages(**params: dict[str, Any]) -> Pipeline:
    """one → two → three, with parameters by stage."""
    needs: list[str] = []
    stages = []
    for name in ("one", "two", "three"):
        stages.append(fake_stage(name, needs, params=params.get(name, {})))
        needs = [name]
    return fake_pipeline(*stages)


def fake_plan(pipeline: Pipeline, workspace: Path, **fields: Any) -> RunPlan:
    photos = tuple(FakePhoto(f"{number}.jpg") for number in range(4))
    return RunPlan(
        **{
            "pipeline": pipeline,
            "preset": "normal",
            "photos": photos,
            "workspace": workspace,
            "memory_budget_bytes": GIGABYTE,
            "threads": 2,
            **fields,
        }
    )


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []

    def __call__(self, event: RunEvent) -> None:
        self.events.append(event)

    def of(self, kind: type[RunEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def stages(self, kind: type[RunEvent]) -> list[str]:
        return [event.stage for event in self.of(kind)]
