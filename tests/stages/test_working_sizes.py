"""Sides that are multiples of a number, for programs that need such sizes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.sfm.undistortion import pinhole_view
from insaat_cli.stages.resize import cut_to_multiple


@pytest.mark.parametrize(
    ("size", "multiple_of", "expected"),
    [
        ((1438, 1078), 32, (1408, 1056)),
        ((641, 480), 32, (640, 480)),
        ((640, 480), 32, (640, 480)),
        ((641, 479), 1, (641, 479)),
        ((640, 20), 32, (640, 20)),
    ],
)
def test_photos_are_cut_and_keep_their_middle(
    size: tuple[int, int], multiple_of: int, expected: tuple[int, int]
) -> None:
    image = Image.new("L", size)
    middle = (size[0] // 2, size[1] // 2)
    image.putpixel(middle, 255)
    cut = cut_to_multiple(image, multiple_of)
    assert cut.size == expected
    row, column = np.argwhere(np.asarray(cut) == 255)[0]
    assert abs(column - cut.width / 2) <= 1
    assert abs(row - cut.height / 2) <= 1


def test_pinhole_views_are_cut_and_look_the_same_way() -> None:
    camera = Camera(
        camera_id=1, model="SIMPLE_RADIAL", width=1000, height=700, params=(900, 500, 350, -0.05)
    )
    whole, cut = pinhole_view(camera), pinhole_view(camera, 32)
    assert (cut.width % 32, cut.height % 32) == (0, 0)
    assert 0 < whole.width - cut.width < 32
    left = (whole.width - cut.width) / 2
    top = (whole.height - cut.height) / 2
    assert cut.camera.params == pytest.approx(
        np.array(whole.camera.params) - [0, 0, left, top], abs=1e-9
    )
    # Half pixels lie between two of the whole view's.
    columns = np.arange(cut.width) + left
    row = round(top)
    expected = np.interp(columns, np.arange(whole.width), whole.map_x[row])
    assert cut.map_x[round(row - top)] == pytest.approx(expected, abs=0.02)
