"""The sections of the report, each from the data of a run to markup; None where it has nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from insaat_cli.formatting import counted, duration, printable, size
from insaat_cli.report import findings
from insaat_cli.report.drawings import share_bar, top_view
from insaat_cli.report.markup import Markup, element, joined
from insaat_cli.report.pictures import picture, thumbnail
from insaat_cli.report.run_data import RunData

MAX_THUMBNAILS = 400
SHOWN_ELSEWHERE = ("photos", "registered", "registered_share")
STATUS_WORDS = {
    "done": "done",
    "skipped": "reused",
    "failed": "failed",
    "stopped": "stopped",
    "running": "not finished",
    "waiting": "not started",
}


def heading(run: RunData) -> Markup:
    """Title, when and with what, and the figures that matter."""
    record = run.record
    words = [
        f"pipeline {record.get('pipeline', '?')}",
        f"preset {record.get('preset', '?')}",
        str(record.get("finished") or record.get("started") or "")[:16].replace("T", " ") + " UTC",
    ]
    if until := record.get("until"):
        words.append(f"only until {until}")
    if record.get("reused"):
        words.append("nothing to do; the figures are from the run that made it")
    return element(
        "header",
        element("h1", printable(run.workspace.name)),
        element("p", printable(" · ".join(words)), class_="muted"),
        element(
            "div", *(_figure(value, label) for value, label in _figures(run)), class_="figures"
        ),
    )


def _figures(run: RunData) -> list[tuple[str, str]]:
    record = run.record
    figures = [(str(len(run.photos)), "photos used")]
    sparse = run.metrics("sparse")
    if run.cameras:
        figures[0] = (f"{len(run.registered)}/{len(run.photos)}", "photos registered")
    error = sparse.get("reprojection_error_px")
    if isinstance(error, int | float):
        figures.append((f"{error:.2f} px", "reprojection error"))
    faces = run.metrics("export").get("faces")
    if isinstance(faces, int):
        figures.append((f"{faces:,}", "triangles"))
    texture = run.metrics("export").get("texture_width")
    if isinstance(texture, int):
        height = run.metrics("export").get("texture_height", texture)
        figures.append((f"{texture} x {height}", "texture"))
    # Stages kept from earlier runs took their time and memory then.
    seconds = max(run.seconds, sum(_number(stage.get("seconds")) for stage in run.stages))
    peaks = [_number(item.get("peak_bytes")) for item in (record, *run.stages)]
    figures.append((duration(seconds), "time"))
    figures.append((size(max(peaks)), "peak memory"))
    return figures


def _figure(value: str, label: str) -> Markup:
    return element(
        "div", element("strong", printable(value)), element("span", label), class_="figure"
    )


def failure(run: RunData) -> Markup | None:
    """What went wrong, what to try, and the end of the log."""
    error = run.error
    if error is None:
        return None
    stage = f" in stage {error.get('stage')}" if error.get("stage") else ""
    log = run.log_tail()
    return element(
        "section",
        element("h2", printable(f"This run did not finish{stage}")),
        *(element("p", printable(line)) for line in str(error.get("message", "")).splitlines()),
        *_lines_after("Try: ", str(error.get("hint") or "")),
        element("details", element("summary", "End of the log"), element("pre", log))
        if log
        else None,
        class_="failure",
    )


def _lines_after(label: str, text: str) -> list[Markup]:
    return [
        element("p", None if number else element("strong", label), printable(line))
        for number, line in enumerate(text.splitlines())
    ]


def preview(run: RunData) -> Markup | None:
    """The model from four sides, and links to the files."""
    results = [str(name) for name in run.record.get("results") or []]
    links = [
        element("a", printable(name), href=quote(name, safe=""), class_="file") for name in results
    ]
    if run.preview is None and not links:
        return None
    shown = (
        element("img", src=picture(run.preview), alt="The model from four sides", class_="preview")
        if run.preview
        else None
    )
    return element("section", shown, element("p", *links, class_="files") if links else None)


def older_results(run: RunData) -> Markup | None:
    """Which run the results are of that this one did not make."""
    if not run.older:
        return None
    rows = [
        element(
            "li", element("a", printable(name), href=quote(name, safe="")), f": {printable(said)}"
        )
        for name, said in run.older.items()
    ]
    title = element("h2", "Results of an earlier run")
    return element("section", title, element("ul", *rows), class_="notes")


def warnings(run: RunData) -> Markup | None:
    """What was reduced, and what the stages warned of."""
    items = [
        (stage, kind, str(text))
        for stage in run.stages
        for kind in ("degraded", "warnings")
        for text in stage.get(kind) or []
    ]
    if not items:
        return None
    rows = [
        element(
            "li",
            element("strong", printable(f"{stage.get('title')}: ")),
            "reduced settings: " if kind == "degraded" else None,
            printable(text),
        )
        for stage, kind, text in items
    ]
    return element("section", element("h2", "Notes"), element("ul", *rows), class_="notes")


def cameras(run: RunData) -> Markup | None:
    """Where the photos were taken from."""
    if not run.cameras:
        return None
    missing = [
        str(photo.get("name")) for photo in run.photos if photo.get("name") not in run.registered
    ]
    words = [
        element("dt", "registered"),
        element("dd", f"{len(run.registered)} of {counted(len(run.photos), 'photo')}"),
    ]
    for key, value in run.metrics("sparse").items():
        if isinstance(value, int | float) and key not in SHOWN_ELSEWHERE:
            words += _measured(key, value)
    if missing:
        words += [element("dt", "not registered"), element("dd", printable(", ".join(missing)))]
    return element(
        "section",
        element("h2", "Cameras"),
        element(
            "div",
            element(
                "figure",
                top_view(run.cameras, plan=run.plan, reach=run.plan_reach),
                element("figcaption", "cameras and points from above; the cross is the origin"),
            ),
            findings.matches(run),
            class_="columns",
        ),
        element("div", element("dl", *words), _separate_groups(run), class_="below"),
    )


def _matches_alone(run: RunData) -> Markup | None:
    """Where no camera was registered, the matches say why."""
    graph = findings.matches(run)
    if graph is None:
        return None
    return element("section", element("h2", "Matches"), element("div", graph, class_="columns"))


def _separate_groups(run: RunData) -> Markup | None:
    """Photos that fit among themselves but not to the model."""
    models = run.metrics("sparse").get("models")
    groups = [model.get("photos") for model in models or [] if isinstance(model, Mapping)][1:]
    if not groups:
        return None
    rows = [
        element("li", printable(", ".join(str(name) for name in group)))
        for group in groups
        if isinstance(group, list)
    ]
    return joined(
        element("h3", "Groups of photos that were not connected to this model"),
        element("ul", *rows),
        element("p", "Photos of the places in between would connect them.", class_="muted"),
    )


def _measured(key: str, value: float) -> list[Markup]:
    unit = next((unit for unit in ("px", "deg", "mm") if key.endswith(f"_{unit}")), "")
    label = key.removesuffix(f"_{unit}").replace("_", " ")
    return [element("dt", printable(label)), element("dd", f"{_shown(value)} {unit}".strip())]


def stages(run: RunData) -> Markup:
    """Time, memory and settings of each stage."""
    longest = max((_number(stage.get("seconds")) for stage in run.stages), default=0.0) or 1.0
    figures = ("time", "", "processor time", "peak memory")
    names = [element("th", "stage"), element("th", "")]
    names += [element("th", name, class_="number" if name else "") for name in figures]
    names.append(element("th", "settings"))
    return element(
        "section",
        element("h2", "Stages"),
        element(
            "div",
            element(
                "table",
                element("thead", element("tr", *names)),
                element("tbody", *(_stage_row(stage, longest) for stage in run.stages)),
            ),
            class_="wide",
        ),
        class_="stages",
    )


def _stage_row(stage: Mapping[str, Any], longest_s: float) -> Markup:
    seconds, peak_bytes = _number(stage.get("seconds")), _number(stage.get("peak_bytes"))
    cpu_seconds = _number(stage.get("cpu_seconds"))
    status = str(stage.get("status"))
    texts = stage.get("degraded")
    lowered = [
        element("p", printable(f"reduced: {text}"), class_="lowered")
        for text in (texts if isinstance(texts, list) else ())
    ]
    return element(
        "tr",
        element("td", printable(str(stage.get("title") or stage.get("name")))),
        element("td", STATUS_WORDS.get(status, "?"), class_="muted"),
        element("td", duration(seconds) if seconds else None, class_="number"),
        element("td", share_bar(seconds / longest_s) if seconds else None),
        element("td", duration(cpu_seconds) if cpu_seconds else None, class_="number"),
        element("td", size(peak_bytes) if peak_bytes else None, class_="number"),
        element("td", element("code", printable(_settings(stage.get("params")))), *lowered),
        class_=status if status in STATUS_WORDS else "",
    )


def photos(run: RunData) -> Markup:
    """A contact sheet of the photos used."""
    tiles = [_tile(run, photo) for photo in run.photos[:MAX_THUMBNAILS]]
    more = len(run.photos) - len(tiles)
    return element(
        "section",
        element("h2", "Photos"),
        element("div", *tiles, class_="sheet"),
        element("p", f"and {counted(more, 'other')}") if more > 0 else None,
        findings.photo_table(run),
    )


def _tile(run: RunData, photo: Mapping[str, Any]) -> Markup:
    name = str(photo.get("name", "?"))
    path = run.thumbnail_of.get(name)
    data = thumbnail(path) if path else None
    registered = not run.cameras or name in run.registered
    return element(
        "figure",
        element("img", src=data, alt="", loading="lazy")
        if data
        else element("div", class_="blank"),
        element(
            "figcaption", printable(name), None if registered else element("b", " not registered")
        ),
        class_="tile" if registered else "tile lost",
        title=printable(f"{name}: {', '.join(_photo_facts(run, photo))}"),
    )


def _photo_facts(run: RunData, photo: Mapping[str, Any]) -> list[str]:
    facts = [f"{photo.get('width')} x {photo.get('height')} pixels"]
    camera = " ".join(str(photo[key]) for key in ("make", "model") if photo.get(key))
    errors = run.metrics("sparse").get("reprojection_error_px_of")
    error = errors.get(photo.get("name")) if isinstance(errors, Mapping) else None
    if camera:
        facts.append(camera)
    if isinstance(error, int | float):
        facts.append(f"reprojection error {error:.2f} px")
    return facts


def left_out(run: RunData) -> Markup | None:
    """Files that were not used, with their reasons."""
    if not run.left_out:
        return None
    rows = [
        element(
            "tr",
            element("td", printable(str(file.get("name")))),
            element("td", printable(str(file.get("reason")))),
        )
        for file in run.left_out
    ]
    return element(
        "section",
        element("h2", f"Left out: {counted(len(rows), 'file')}"),
        element("div", element("table", element("tbody", *rows)), class_="wide"),
    )


def reproduction(run: RunData) -> Markup:
    """The command, the program's version, and the machine."""
    record = run.record
    machine = record.get("machine") if isinstance(record.get("machine"), Mapping) else {}
    facts = {
        "program": f"insaat {record.get('insaat', '?')}",
        "pipeline file": record.get("pipeline_file"),
        "memory budget": size(_number(record.get("memory_budget_bytes"))),
        "threads": record.get("threads"),
        **{str(key).replace("_", " "): value for key, value in dict(machine or {}).items()},
    }
    words = []
    for name, value in facts.items():
        shown = size(_number(value)) if name.endswith("bytes") else str(value)
        words += [element("dt", printable(name.removesuffix(" bytes")))]
        words += [element("dd", printable(shown))]
    command = element("pre", printable(shlex.join(run.command))) if run.command else None
    return element("section", element("h2", "How it was made"), command, element("dl", *words))


def all_sections(run: RunData) -> Markup:
    """The whole body."""
    return joined(
        heading(run),
        failure(run),
        preview(run),
        older_results(run),
        findings.advice(run),
        warnings(run),
        cameras(run) or _matches_alone(run),
        findings.coverage(run),
        photos(run),
        findings.calibration(run),
        stages(run),
        left_out(run),
        reproduction(run),
    )


def _settings(params: Any) -> str:
    if not isinstance(params, Mapping):
        return ""
    return ", ".join(f"{key}={_shown(value)}" for key, value in params.items())


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
