from __future__ import annotations

import pytest

from insaat_cli.photos.exif import focal_in_pixels
from insaat_cli.photos.sensors import Sensor, known_sensors, sensor_width_mm


@pytest.mark.parametrize(
    ("make", "model", "width_mm"),
    [
        ("Canon", "Canon EOS 5D Mark III", 36.0),
        ("Canon", "Canon EOS 70D", 22.5),
        ("NIKON CORPORATION", "NIKON D850", 36.0),
        ("NIKON CORPORATION", "NIKON D7500", 23.6),
        ("NIKON CORPORATION", "NIKON Z 50", 23.5),
        ("NIKON CORPORATION", "NIKON Z 6_2", 35.9),
        ("SONY", "ILCE-7RM3", 35.8),
        ("SONY", "ILCE-6000", 23.5),
        ("DJI", "FC6310", 13.2),
        ("Canon", "Toaster", None),
        ("", "NIKON D850", None),
        (None, None, None),
    ],
)
def test_common_cameras(make: str | None, model: str | None, width_mm: float | None) -> None:
    assert sensor_width_mm(make, model) == width_mm


def test_the_first_line_that_fits_counts() -> None:
    table = [Sensor(make="a*", model="x1", width_mm=1.0), Sensor(make="*", model="*", width_mm=2.0)]
    assert sensor_width_mm("ABC", " X1 ", table) == 1.0
    assert sensor_width_mm("ABC", "x11", table) == 2.0


def test_every_width_is_that_of_a_real_sensor() -> None:
    assert len(known_sensors()) > 50
    for sensor in known_sensors():
        assert 4.0 <= sensor.width_mm <= 54.0
        assert (sensor.make, sensor.model) == (sensor.make.casefold(), sensor.model.casefold())


def test_the_table_counts_only_where_the_file_says_less() -> None:
    size = (6000, 4000)
    assert focal_in_pixels(size, 50.0, None, {}, 36.0) == pytest.approx(50 / 36 * 6000)
    assert focal_in_pixels(size, None, None, {}, 36.0) is None
    from_equivalent = focal_in_pixels(size, 50.0, 75.0, {})
    assert focal_in_pixels(size, 50.0, 75.0, {}, 36.0) == from_equivalent
