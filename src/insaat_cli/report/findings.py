"""The sections about what was found out of photos and model: advice, matches, coverage, lenses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from insaat_cli.formatting import counted, printable
from insaat_cli.report.drawings import share_bar
from insaat_cli.report.graph import match_graph
from insaat_cli.report.markup import Markup, element, joined
from insaat_cli.report.pictures import picture
from insaat_cli.report.run_data import RunData

NO_PROBLEMS = "No problems found with the photos."
MAX_ROWS = 1000
ROWS_SHOWN_AT_ONCE = 60
SEEN_BY = ("0", "1", "2", "3-4", "5-8", "9+")
BLURRED_SHARE = 0.5
"""Of the median sharpness: below it a value is marked, as the advice does."""


def advice(run: RunData) -> Markup | None:
    """What to do better, in words."""
    items = [one for one in run.advice if one.get("text")]
    if not items and (run.error or not run.photo_facts):
        return None
    if not items:
        return element("section", element("p", NO_PROBLEMS, class_="muted"))
    rows = [element("li", printable(_sentence(str(one["text"])))) for one in items]
    return element("section", element("h2", "Advice"), element("ul", *rows), class_="advice")


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def matches(run: RunData) -> Markup | None:
    """Which photos match."""
    graph = match_graph(run.photo_facts, run.registered)
    if graph is None:
        return None
    words = "photos in order; lines join matching pairs, thicker for more matches"
    return element("figure", graph, element("figcaption", words))


def coverage(run: RunData) -> Markup | None:
    """The model colored by how many photos saw it."""
    facts = run.inspection.get("coverage")
    if not isinstance(facts, Mapping) or run.coverage_picture is None:
        return None
    shares = facts.get("seen_by")
    shares = shares if isinstance(shares, Mapping) else {}
    legend = [
        _legend_item(f"seen{number}", f"{step.replace('-', ' to ')}: {_share(shares.get(step))}")
        for number, step in enumerate(SEEN_BY)
    ]
    image = picture(run.coverage_picture)
    return element(
        "section",
        element("h2", "Coverage"),
        element("p", "Share of the surface by number of photos that see it:", class_="muted"),
        element("ul", *legend, class_="legend"),
        _not_measured(run.metrics("surface")),
        element("img", src=image, alt="The model colored by how many photos see it",
                class_="preview"),
        _sides(facts),
    )  # fmt: skip


def _legend_item(color: str, text: str) -> Markup:
    box = element("rect", width=14, height=14, rx=3, class_=color)
    return element(
        "li",
        element("svg", box, viewBox="0 0 14 14", aria_hidden="true"),
        element("span", printable(text)),
    )


def _not_measured(surface: Mapping[str, Any]) -> Markup | None:
    """How much of the surface was completed or closed, and the colors of both in the picture."""
    if not _has(surface, "completed_share"):
        return None
    completed, closed = (surface.get(f"{kind}_share") for kind in ("completed", "closed"))
    if not _number(completed) and not _number(closed):
        return element("p", "All of the surface was measured.", class_="muted")
    text = (
        f"{_share(completed)} of the surface was completed from its surroundings rather than "
        f"measured; {_share(closed)} closes small holes. In the picture:"
    )
    legend = [_legend_item(f"of-{kind}", kind) for kind in ("completed", "closed")]
    return joined(
        element("p", printable(text), class_="muted"), element("ul", *legend, class_="legend")
    )


def _sides(facts: Mapping[str, Any]) -> Markup | None:
    few = facts.get("few_of_side")
    if not isinstance(few, Mapping) or not few:
        return None
    words = ", ".join(f"{side} {_share(share)}" for side, share in few.items())
    text = f"Seen by at most two photos, by side as seen in the first picture: {words}."
    return element("p", printable(text), class_="muted below")


def photo_table(run: RunData) -> Markup | None:
    """Sharpness, exposure, tracks and reprojection error of each photo."""
    facts = run.photo_facts
    if not facts:
        return None
    sharp = [_number(one.get("sharpness")) for one in facts.values()]
    usual = median(sharp) or 1.0
    stops = median([_number(one.get("brightness_stops")) for one in facts.values()])
    rows = [
        _photo_row(name, one, usual, max(sharp), stops)
        for name, one in list(facts.items())[:MAX_ROWS]
    ]
    heads = ("photo", "sharpness", "", "exposure", "clipped", "matches", "points",
             "track length", "error")  # fmt: skip
    head = element("tr", *(element("th", text, class_=_column(i)) for i, text in enumerate(heads)))
    table = element(
        "div", element("table", element("thead", head), element("tbody", *rows)), class_="wide"
    )
    if len(rows) > ROWS_SHOWN_AT_ONCE:
        table = element("details", element("summary", f"All {counted(len(rows), 'photo')}"), table)
    explained = (
        "Sharpness: fine over coarse detail, the bar against the sharpest photo. Exposure: stops "
        "from the middle of the set. Clipped: share of the photo that is white or black. Points: "
        "of the model that the photo sees, and how many photos see them on average. "
        "Error: mean reprojection error in pixels."
    )
    return joined(table, element("p", explained, class_="muted below"))


def _column(number: int) -> str:
    return "" if number in (0, 2) else "number"


def _photo_row(
    name: str, one: Mapping[str, Any], usual: float, sharpest: float, stops: float
) -> Markup:
    sharpness = _number(one.get("sharpness"))
    clipped = _number(one.get("blown")) + _number(one.get("black"))
    found = one.get("matches")
    counts = [_number(value) for value in found.values()] if isinstance(found, Mapping) else []
    known = "sharpness" in one
    cells: Sequence[tuple[Markup | str | None, str]] = (
        (printable(name), ""),
        (f"{sharpness:.2f}" if known else None, "number"),
        (share_bar(sharpness / (sharpest or 1.0)) if known else None, ""),
        (f"{_number(one.get('brightness_stops')) - stops:+.1f}" if known else None, "number"),
        (_share(clipped) if known else None, "number"),
        (f"{sum(counts):,.0f} in {len(counts)}", "number"),
        (
            f"{one['points']:,}" if isinstance(one.get("points"), int) else "not registered",
            "number",
        ),
        (f"{one['track_length']:.1f}" if _has(one, "track_length") else None, "number"),
        (f"{one['error_px']:.2f} px" if _has(one, "error_px") else None, "number"),
    )
    marked = (known and sharpness < BLURRED_SHARE * usual) or "points" not in one
    return element(
        "tr",
        *(element("td", text, class_=kind) for text, kind in cells),
        class_="marked" if marked else "",
    )


def calibration(run: RunData) -> Markup | None:
    """The lenses as they were found."""
    lenses = run.inspection.get("calibration")
    if not isinstance(lenses, list) or not lenses:
        return None
    rows = [_lens_row(lens) for lens in lenses if isinstance(lens, Mapping)][:50]
    heads = ("photos", "size", "focal length", "", "principal point", "distortion")
    return element(
        "section",
        element("h2", "Calibration"),
        element(
            "div",
            element(
                "table",
                element("thead", element("tr", *(element("th", head) for head in heads))),
                element("tbody", *rows),
            ),
            class_="wide",
        ),
    )


def _lens_row(lens: Mapping[str, Any]) -> Markup:
    width, height = _number(lens.get("width")), _number(lens.get("height"))
    focal = _number(lens.get("focal_px"))
    center = lens.get("center_px")
    distortion = lens.get("distortion")
    params = distortion.items() if isinstance(distortion, Mapping) else ()
    words = ", ".join(f"{key} {_number(value):.4g}" for key, value in params)
    longest = max(width, height) or 1.0
    cells = (
        str(lens.get("photos", "")),
        f"{width:.0f} x {height:.0f}",
        f"{focal:.0f} px",
        f"{focal / longest:.2f} of the longest side",
        ", ".join(f"{_number(value):.0f}" for value in center) if isinstance(center, list) else "",
        f"{lens.get('model', '')} {words}".strip(),
    )
    return element("tr", *(element("td", printable(cell)) for cell in cells))


def _has(one: Mapping[str, Any], key: str) -> bool:
    return isinstance(one.get(key), int | float)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _share(value: Any) -> str:
    share = _number(value)
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"
