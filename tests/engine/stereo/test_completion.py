"""Plain surfaces are completed where what is measured supports it, and nowhere else."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.engine.plain_scene import Sheet, border, nowhere, row_of_cameras, shoot

from insaat_cli.engine.stereo.depth_map_files import DepthMap, DepthView, write_index
from insaat_cli.pipeline.stage_contract import parse_options
from insaat_cli.stages.complete import CompleteOptions, complete_depth_maps

GRAY, WHITE, SKY_BLUE = (120, 118, 112), (205, 205, 203), (150, 190, 250)
WALL = Sheet(middle=(0, 1.5, 3), right=(2.5, 0, 0), up=(0, 1.5, 0), color=GRAY)
GROUND = Sheet(middle=(0, 0, 0), right=(6, 0, 0), up=(0, 0, 3), color=(90, 80, 60))
AIM = (0.0, 1.5, 3.0)


def write_set(folder, shots):
    """What the stages before `complete` leave."""
    (folder / "depth").mkdir()
    entries = []
    for index, shot in enumerate(shots):
        view = replace(shot.view, name=f"{index}.png")
        cv2.imwrite(str(folder / view.name), shot.rgb[..., ::-1])
        shot.measured.save(folder / "depth" / f"{index}.npz")
        others = tuple(other for other in range(len(shots)) if other != index)
        entries.append(
            DepthView(view=view, file=f"{index}.npz", neighbours=others, near=1.0, far=10.0)
        )
    write_index(folder / "depth", entries)


def complete(folder, sheets, background=(0, 0, 0), height=1.4, aim=AIM, **options):
    """Every view's shot, what became of its depth map, and the stage's metrics."""
    shots = [shoot(view, sheets, background) for view in row_of_cameras(height, 2.5, aim)]
    write_set(folder, shots)
    metrics = complete_depth_maps(
        folder / "depth",
        folder,
        folder / "out" / "depth",
        parse_options(CompleteOptions, options),
        threads=2,
    )
    results = [DepthMap.load(folder / "out" / "depth" / f"{i}.npz") for i in range(len(shots))]
    return shots, results, metrics


def shrunk(pixels):
    """Without a seam: what is beside an edge may be a pixel off."""
    return cv2.erode(pixels.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def test_a_plain_wall_with_a_textured_border_is_completed_and_marked(tmp_path):
    shots, results, metrics = complete(tmp_path, [replace(WALL, textured=border(0.25)), GROUND])
    for shot, result in zip(shots, results, strict=True):
        plain = (shot.sheet == 0) & (shot.measured.depth == 0)
        assert plain.sum() > 5000
        off = np.abs(result.depth / np.maximum(shot.truth, 1e-6) - 1)
        assert np.mean((off < 0.005)[plain]) > 0.85
        assert np.array_equal(result.completed & plain, (result.depth > 0) & plain)
        measured = (shot.measured.depth > 0) & ~result.completed
        assert np.mean(measured[shot.measured.depth > 0]) > 0.97  # but what nobody agrees with
        assert np.array_equal(result.depth[measured], shot.measured.depth[measured])
    assert metrics["completed"] > 0.1
    assert metrics["sky"] == 0


@pytest.mark.parametrize("color", [SKY_BLUE, (250, 250, 250), (232, 232, 230)])
def test_the_sky_above_a_facade_stays_empty(tmp_path, color):
    wide = replace(GROUND, right=(30, 0, 0), up=(0, 0, 30))
    facade = replace(WALL, textured=lambda a, b: (np.abs(a) > 0.6) | (b > 0.8) | (b < -0.7))
    shots, results, metrics = complete(tmp_path, [facade, wide], color, aim=(0.0, 2.4, 3.0))
    for shot, result in zip(shots, results, strict=True):
        assert np.mean(result.depth[shrunk(shot.sheet < 0)] > 0) < 0.02
        assert np.mean(result.sky[shrunk(shot.sheet < 0)]) > 0.9
        assert np.mean(result.sky[shrunk(shot.sheet >= 0)]) < 0.005
        assert np.mean(result.depth[shot.sheet == 0] > 0) > 0.95
    assert metrics["sky"] > 0.2


def test_a_courtyard_gets_no_ceiling_of_sky(tmp_path):
    """Eaves of one height on three sides lie on one level plane; so does an overcast sky."""
    wings = [
        Sheet(middle=(x, 3, 3), right=(0, 0, 4), up=(0, 3, 0), color=GRAY) for x in (-3.0, 3.0)
    ]
    back = Sheet(middle=(0, 3, 7), right=(3, 0, 0), up=(0, 3, 0), color=GRAY)
    ground = replace(GROUND, up=(0, 0, 8))
    aim = (0.0, 4.0, 3.0)
    shots, results, _ = complete(tmp_path, [*wings, back, ground], (244, 244, 244), aim=aim)
    for shot, result in zip(shots, results, strict=True):
        assert (shot.sheet < 0).mean() > 0.1
        assert np.mean(result.depth[shrunk(shot.sheet < 0)] > 0) < 0.02


def test_a_white_ceiling_is_no_sky_and_no_wall_goes_on_into_it(tmp_path):
    """Brighter than all else, smooth and above the horizon: but level, and as high as a room."""
    side = {"color": (150, 140, 130), "textured": border(0.15)}
    room = [
        Sheet(middle=(-2, 1.25, 2), right=(0, 0, 4.5), up=(0, 1.25, 0), **side),
        Sheet(middle=(2, 1.25, 2), right=(0, 0, 4.5), up=(0, 1.25, 0), **side),
        Sheet(middle=(0, 1.25, 4), right=(2, 0, 0), up=(0, 1.25, 0), **side),
        Sheet(middle=(0, 2.5, 1), right=(2, 0, 0), up=(0, 0, 3.5), color=(248, 248, 248),
              textured=border(0.06)),
        replace(GROUND, right=(2, 0, 0), up=(0, 0, 4)),
    ]  # fmt: skip
    aim = (0.0, 2.0, 3.0)
    shots, results, metrics = complete(tmp_path, room, (255, 255, 255), aim=aim)
    assert metrics["sky"] == 0
    for shot, result in zip(shots, results, strict=True):
        plain = shrunk(shot.sheet == 3) & (shot.measured.depth == 0)
        assert plain.sum() > 1000
        off = np.abs(result.depth / np.maximum(shot.truth, 1e-6) - 1)
        assert np.mean((result.depth > 0) & (off > 0.02) & plain) < 0.02


def test_a_doorway_that_others_see_through_stays_open(tmp_path):
    wall = replace(WALL, cut=lambda a, b: (np.abs(a) < 0.25) & (b < 0.4))
    behind = replace(WALL, middle=(0, 1.5, 6), right=(6, 0, 0), up=(0, 2, 0), color=(60, 70, 140))
    shots = [
        shoot(view, [wall, behind, GROUND], (0, 0, 0)) for view in row_of_cameras(1.4, 2.5, AIM)
    ]
    first = shots[0].measured
    first.depth[shots[0].sheet == 1] = 0  # one photo could not measure what is behind
    write_set(tmp_path, shots)
    complete_depth_maps(tmp_path / "depth", tmp_path, tmp_path / "out" / "depth", CompleteOptions())
    result = DepthMap.load(tmp_path / "out" / "depth" / "0.npz")
    inner = shrunk(shots[0].sheet == 1)
    spanned = inner & (result.depth > 0) & (result.depth < 0.9 * shots[0].truth)
    assert inner.sum() > 1000
    assert spanned.sum() < 0.05 * inner.sum()


def test_what_is_measured_on_one_side_only_is_not_extended(tmp_path):
    wall = replace(WALL, right=(9, 0, 0), textured=lambda a, b: (a > -0.3) & (a < -0.15))
    shots, results, _ = complete(tmp_path, [wall])
    for shot, result in zip(shots, results, strict=True):
        plain = (shot.sheet == 0) & (shot.measured.depth == 0)
        assert np.mean(result.depth[plain] > 0) < 0.1


def test_a_plain_wall_with_nothing_measured_stays_out(tmp_path):
    shots, results, metrics = complete(tmp_path, [replace(WALL, textured=nowhere), GROUND])
    for shot, result in zip(shots, results, strict=True):
        assert np.mean(result.depth[shot.sheet == 0] > 0) < 0.2
    assert metrics["completed"] < 0.05


def test_off_passes_the_maps_through_without_a_copy(tmp_path):
    _, _, metrics = complete(tmp_path, [replace(WALL, textured=border(0.25)), GROUND], mode="off")
    for index in range(4):
        before = (tmp_path / "depth" / f"{index}.npz").stat()
        after = (tmp_path / "out" / "depth" / f"{index}.npz").stat()
        assert before.st_ino == after.st_ino
    assert metrics == {"completed": 0.0, "sky": 0.0}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["depth"]
