"""The report: everything escaped, nothing fetched, and a page for failed runs too."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insaat_cli.formatting import duration
from insaat_cli.report.page import write_report

EVIL = "<script>alert(1)</script>\"'&\n.jpg"
VOID = {"meta", "img"}
ACTIVE = {"script", "iframe", "object", "embed", "form", "input", "base", "link", "foreignobject"}


class Page(HTMLParser):
    """Every element with its attributes; fails on elements closed in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def stage(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"doing {name}",
        "status": "done",
        "seconds": 2.0,
        "cpu_seconds": 3723.0,
        "peak_bytes": 300_000_000,
        "params": {"max_side": 2400, "note": EVIL},
        "metrics": {},
        "warnings": [],
        "degraded": [],
        **fields,
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A finished run with three photos, two of them registered, and hostile names everywhere."""
    root = tmp_path / "a <b> model"
    names = [EVIL, "b.jpg", "c.jpg"]
    entries = [{"name": f"{i:05d}.jpg", "source": name} for i, name in enumerate(names)]
    write(root / "stages/resize/images.json", {"images": entries})
    (root / "stages/resize/images").mkdir()
    for entry in entries:
        Image.new("RGB", (640, 480)).save(root / "stages/resize/images" / entry["name"])
    cameras = [
        {
            "name": name,
            "center": [2.0 * number - 1, 1.0, 3.0],
            "cam_from_world": [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0]],
        }
        for number, name in enumerate(names[:2])
    ]
    write(root / "stages/sparse/cameras.json", {"images": cameras})
    left_out = [{"name": EVIL, "path": "/x", "reason": f"because {EVIL}"}]
    photos = [{"name": name, "width": 640, "height": 480} for name in names]
    write(root / "photos.json", {"photos": photos, "left_out": left_out})
    Image.new("RGBA", (800, 200)).save(root / "preview.png")
    metrics = {
        "registered": 2,
        "reprojection_error_px": 0.5,
        "reprojection_error_px_of": {"b.jpg": 0.625},
        "models": [{"photos": names[:2]}, {"photos": ["c.jpg", EVIL]}],
    }
    record = {
        "pipeline": EVIL,
        "preset": "normal",
        "insaat": "0.1.0",
        "machine": {"platform": EVIL, "memory_limit_bytes": 8_000_000_000},
        "memory_budget_bytes": 4_000_000_000,
        "threads": 2,
        "started": "2024-01-01T10:00:00+00:00",
        "finished": "2024-01-01T10:01:05+00:00",
        "peak_bytes": 900_000_000,
        "results": ["model.glb", "preview.png", EVIL],
        "stages": [
            stage("resize"),
            stage("sparse", metrics=metrics, warnings=[EVIL], degraded=["max_side lowered"]),
        ],
        "error": None,
    }
    write(root / "run.json", record)
    return root


def change(workspace: Path, **fields: Any) -> None:
    record = json.loads((workspace / "run.json").read_text(encoding="utf-8"))
    write(workspace / "run.json", {**record, **fields})


def report_of(workspace: Path) -> Page:
    path = write_report(workspace, command=("insaat", "reconstruct", EVIL))
    return Page(path.read_text(encoding="utf-8"))


def test_hostile_names_stay_text(workspace: Path) -> None:
    page = report_of(workspace)
    assert page.all("script") == []
    assert not {tag for tag, _ in page.found} & ACTIVE
    shown = "".join(page.text)
    assert shown.count("<script>alert(1)</script>") >= 8
    assert "\\n.jpg" in shown
    for _, attributes in page.found:
        assert not any(name.startswith("on") for name in attributes)


def test_page_needs_nothing_else_and_says_so(workspace: Path) -> None:
    page = report_of(workspace)
    policy = next(m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in str(policy["content"])
    assert all("style" not in attributes for _, attributes in page.found)
    assert all(str(image["src"]).startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert page.all("link") == []


def test_links_are_relative_files(workspace: Path) -> None:
    targets = [str(link["href"]) for link in report_of(workspace).all("a")]
    assert targets[:2] == ["model.glb", "preview.png"]
    assert targets[2].startswith("%3Cscript%3E")


def test_figures_cameras_and_photos(workspace: Path) -> None:
    page = report_of(workspace)
    shown = "".join(page.text)
    for words in (
        "2/3",
        "0.50 px",
        "1:05 min",
        "900 MB",
        "c.jpg not registered",
        "max_side lowered",
    ):
        assert words in shown
    assert len(page.all("polygon")) == 2
    assert len(page.all("img")) == 4


FOUND = {
    "advice": [{"severity": "warning", "kind": "blur", "text": f"blurred: {EVIL}", "photos": []}],
    "coverage": {"photos": 3, "seen_by": {"0": 0.25, "9+": 0.75}, "few_of_side": {"left": 0.25}},
    "calibration": [
        {"photos": 3, "width": 640, "height": 480, "focal_px": 700.4, "center_px": [320, 240],
         "model": EVIL, "distortion": {"k1": -0.0251}}
    ],
    "plan_reach": 4.0,
    "photos": {
        EVIL: {"matches": {"b.jpg": 120, "gone.jpg": 5}, "sharpness": 0.3, "points": 40,
               "track_length": 3.0, "error_px": 0.625, "brightness_stops": -2.0},
        "b.jpg": {"matches": {EVIL: 120, "c.jpg": 30}, "sharpness": 0.3, "brightness_stops": -2.0},
        "c.jpg": {"matches": {}, "sharpness": 0.1, "brightness_stops": -3.5},
    },
}  # fmt: skip


def inspected(workspace: Path, found: dict[str, Any]) -> Page:
    """The report after a stage `inspection` that found so much."""
    folder = workspace / "stages" / "inspection"
    folder.mkdir()
    Image.new("RGB", (96, 72)).save(folder / "coverage.jpg")
    Image.new("RGBA", (64, 64)).save(folder / "plan.png")
    record = json.loads((workspace / "run.json").read_text(encoding="utf-8"))
    change(workspace, stages=[*record["stages"], stage("inspection", metrics=found)])
    return report_of(workspace)


def test_processor_time_of_a_stage_is_shown(workspace: Path) -> None:
    assert duration(3723.0) in "".join(report_of(workspace).text)


def test_what_was_found_out_is_shown(workspace: Path) -> None:
    page = inspected(workspace, FOUND)
    shown = "".join(page.text)
    for words in ("Blurred: <script>", "0: 25%", "9+: 75%", "left 25%", "-1.5", "150 in 2",
                  "0.62 px", "1.09 of the longest side", "k1 -0.0251"):  # fmt: skip
        assert words in shown, words
    assert page.all("script") == []
    lines = [tag for tag, attributes in page.found if attributes.get("class") == "link"]
    assert lines == ["line", "line"], "each pair once, and none with a photo that is not there"
    lost = [a for tag, a in page.found if a.get("class") == "lost-camera"]
    assert len(lost) == 1
    (plan,) = page.all("image")
    assert str(plan["href"]).startswith("data:image/png;base64,")
    assert len(page.all("img")) == 5


def test_the_share_that_was_not_measured_is_said_in_words(workspace: Path) -> None:
    record = json.loads((workspace / "run.json").read_text(encoding="utf-8"))
    shares = {"measured_share": 0.864, "completed_share": 0.12, "closed_share": 0.016}
    change(workspace, stages=[*record["stages"], stage("surface", metrics=shares)])
    page = inspected(workspace, FOUND)
    shown = "".join(page.text)
    assert "12% of the surface was completed from its surroundings rather than measured" in shown
    assert "1.6% closes small holes" in shown
    colors = [str(attributes.get("class")) for attributes in page.all("rect")]
    assert "of-completed" in colors and "of-closed" in colors


def test_nonsense_in_place_of_findings_spoils_no_report(workspace: Path) -> None:
    nonsense: dict[str, Any] = {
        "advice": "x", "coverage": [1], "calibration": [3, {}], "plan_reach": "far",
        "photos": {"b.jpg": {"matches": 3, "points": None}, "c.jpg": 7},
    }  # fmt: skip
    assert "Calibration" in "".join(inspected(workspace, nonsense).text)


def test_failed_run_says_what_its_photos_lack(workspace: Path) -> None:
    images = workspace / "stages" / "resize" / "images"
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
    for name in ("00000.jpg", "00001.jpg"):
        Image.fromarray(noise).save(images / name)
    change(workspace, error={"message": "m"}, results=[], stages=[stage("resize")])
    shown = "".join(report_of(workspace).text)
    assert "Blurred: c.jpg" in shown


def test_photos_that_form_a_model_of_their_own_are_named(workspace: Path) -> None:
    page = report_of(workspace)
    shown = "".join(page.text)
    assert "were not connected to this model" in shown
    assert "c.jpg, <script>" in shown
    titles = [figure.get("title") for figure in page.all("figure")]
    assert "b.jpg: 640 x 480 pixels, reprojection error 0.62 px" in titles


def test_failed_run_tells_what_failed_with_the_end_of_the_log(workspace: Path) -> None:
    log = workspace / "logs" / "dense.log"
    log.parent.mkdir()
    log.write_bytes(b"line\n" * 100 + b"</pre><script>\xff bang")
    error = {"message": "no depth", "hint": "sharper photos", "stage": "dense", "log": str(log)}
    change(workspace, error=error, results=[])
    page = report_of(workspace)
    shown = "".join(page.text)
    for words in ("did not finish in stage dense", "no depth", "sharper photos", "bang"):
        assert words in shown
    assert shown.count("line\n") == 39
    assert page.all("script") == []
    assert len(page.all("img")) == 3  # no preview of an earlier model


def test_results_of_an_earlier_run_are_named_as_such(workspace: Path) -> None:
    (workspace / "model.glb").write_text("model")
    assert "earlier run" not in "".join(report_of(workspace).text)
    files = {"model.glb": {"run": "old", "request": "a", "stale": True}}
    change(
        workspace,
        run="new",
        runs={"new": {"request": "b"}, "old": {"preset": EVIL, "photos": 3}},
        result_files=files,
        results=[],
        until="sparse",
        reused=True,
    )
    page = report_of(workspace)
    shown = "".join(page.text)
    assert "Results of an earlier run" in shown
    assert "the last run, with other photos or settings, stopped after sparse" in shown
    assert "only until sparse" in shown and "nothing to do" in shown
    assert page.all("script") == []


def test_run_that_left_almost_nothing_still_has_a_report(tmp_path: Path) -> None:
    write(tmp_path / "run.json", {"pipeline": "x", "stages": "nonsense", "error": {"message": "m"}})
    assert "did not finish" in "".join(report_of(tmp_path).text)


def test_workspace_without_record_has_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"run\.json"):
        write_report(tmp_path)
