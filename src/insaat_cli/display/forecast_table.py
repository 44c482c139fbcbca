"""A forecast as text: the stages of one preset, and the presets beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insaat_cli.formatting import duration, size
from insaat_cli.planning.forecast import Forecast
from insaat_cli.planning.planner import changes
from insaat_cli.reconstruction.preset_forecast import PresetForecast

STAGE_HEAD = ("stage", "memory", "threads", "time", "disk", "")
PRESET_HEAD = ("preset", "peak memory", "time", "disk", "")


def stage_lines(forecast: PresetForecast) -> list[str]:
    """A table of the stages."""
    rows = [
        (
            one.stage.name,
            size(one.option.memory_bytes),
            str(one.option.threads),
            duration(one.seconds),
            size(one.disk_bytes),
            _remark(one, forecast.plan.memory_budget_bytes),
        )
        for one in forecast.stages
    ]
    return table([STAGE_HEAD, *rows])


def preset_lines(forecasts: Mapping[str, PresetForecast]) -> list[str]:
    """A table of the presets."""
    rows = [
        (
            preset,
            size(forecast.peak_bytes),
            duration(forecast.seconds),
            size(forecast.disk_bytes),
            _preset_remark(forecast),
        )
        for preset, forecast in forecasts.items()
    ]
    return table([PRESET_HEAD, *rows])


def forecast_fields(forecast: PresetForecast) -> dict[str, Any]:
    """One preset for a program."""
    return {
        "event": "forecast",
        "preset": forecast.preset,
        "fits": forecast.fits,
        "peak_bytes": forecast.peak_bytes,
        "seconds": round(forecast.seconds, 3),
        "disk_bytes": forecast.disk_bytes,
        "stages": [
            {
                "stage": one.stage.name,
                "fits": one.fits,
                "memory_bytes": one.option.memory_bytes,
                "threads": one.option.threads,
                "seconds": round(one.seconds, 3),
                "disk_bytes": one.disk_bytes,
                "changes": changes(one.stage.params, one.params),
            }
            for one in forecast.stages
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


def _remark(forecast: Forecast, budget_bytes: int) -> str:
    if not forecast.fits:
        return "does not fit"
    lowered = changes(forecast.stage.params, forecast.params)
    words = ", ".join(f"{name} {value}" for name, value in lowered.items())
    beyond = forecast.option.memory_bytes > budget_bytes
    remarks = [f"with {words}" if words else "", "exceeds the budget, runs alone" if beyond else ""]
    return "; ".join(filter(None, remarks))


def _preset_remark(forecast: PresetForecast) -> str:
    if not forecast.fits:
        return "does not fit"
    lowered = any(changes(one.stage.params, one.params) for one in forecast.stages)
    return "with reduced settings" if lowered else ""
