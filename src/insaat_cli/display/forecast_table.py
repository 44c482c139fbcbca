"""An outlook in words: the stages of one preset, and the presets beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insaat_cli.formatting import duration, size
from insaat_cli.planning.forecast import Forecast
from insaat_cli.planning.planner import changes
from insaat_cli.reconstruction.preset_forecast import Outlook

STAGE_HEAD = ("stage", "memory", "threads", "time", "disk", "")
PRESET_HEAD = ("preset", "peak memory", "time", "disk", "")


def outlook_lines(outlook: Outlook) -> list[str]:
    """A table of the stages."""
    rows = [
        (
            told.stage.name,
            size(told.option.memory_bytes),
            str(told.option.threads),
            duration(told.seconds),
            size(told.disk_bytes),
            _remark(told, outlook.plan.memory_budget_bytes),
        )
        for told in outlook.stages
    ]
    return table([STAGE_HEAD, *rows])


def preset_lines(outlooks: Mapping[str, Outlook]) -> list[str]:
    """A table of the presets."""
    rows = [
        (
            preset,
            size(outlook.peak_bytes),
            duration(outlook.seconds),
            size(outlook.disk_bytes),
            _preset_remark(outlook),
        )
        for preset, outlook in outlooks.items()
    ]
    return table([PRESET_HEAD, *rows])


def outlook_fields(outlook: Outlook) -> dict[str, Any]:
    """One preset for a program."""
    return {
        "event": "outlook",
        "preset": outlook.preset,
        "fits": outlook.fits,
        "peak_bytes": outlook.peak_bytes,
        "seconds": round(outlook.seconds, 3),
        "disk_bytes": outlook.disk_bytes,
        "stages": [
            {
                "stage": told.stage.name,
                "fits": told.fits,
                "memory_bytes": told.option.memory_bytes,
                "threads": told.option.threads,
                "seconds": round(told.seconds, 3),
                "disk_bytes": told.disk_bytes,
                "changes": changes(told.stage.params, told.params),
            }
            for told in outlook.stages
        ],
    }


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of equal width; the first to the left, the others to the right, the last as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *middle, last in rows:
        cells = [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells, last]).rstrip())
    return lines


def _remark(told: Forecast, budget_bytes: int) -> str:
    if not told.fits:
        return "does not fit"
    lowered = changes(told.stage.params, told.params)
    words = [f"{name} {value}" for name, value in lowered.items()]
    beyond = ["more than the budget, alone"] if told.option.memory_bytes > budget_bytes else []
    return "; ".join([f"with {', '.join(words)}"] if words else []) + "".join(beyond)


def _preset_remark(outlook: Outlook) -> str:
    if not outlook.fits:
        return "does not fit"
    lowered = any(changes(told.stage.params, told.params) for told in outlook.stages)
    return "with lowered settings" if lowered else ""
