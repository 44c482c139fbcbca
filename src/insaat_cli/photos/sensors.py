"""How wide the sensors of common cameras are, for photos that give a focal length in mm only."""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """A line of the table: patterns of make and model, and the longest side in mm."""

    make: str
    model: str
    width_mm: float


@cache
def known_sensors() -> tuple[Sensor, ...]:
    """The table that comes with this package, more special lines first."""
    text = (resources.files("insaat_cli.photos") / "sensors.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(
        Sensor(make=row["make"], model=row["model"], width_mm=float(row["sensor_mm"]))
        for row in csv.DictReader(lines)
    )


def sensor_width_mm(
    make: str | None, model: str | None, sensors: Sequence[Sensor] | None = None
) -> float | None:
    """Longest side of the sensor in mm; None for a camera that is not in the table."""
    if not make or not model:
        return None
    maker, name = make.casefold().strip(), model.casefold().strip()
    for sensor in known_sensors() if sensors is None else sensors:
        if fnmatch.fnmatchcase(maker, sensor.make) and fnmatch.fnmatchcase(name, sensor.model):
            return sensor.width_mm
    return None
