"""Sub-scenes: what is read of OpenMVS's files, and the joined cloud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.fakes.mvs_files import EVERYWHERE, Box, write_depth_map, write_scene, write_seen_cloud

from insaat_cli.errors import StageError
from insaat_cli.external.openmvs_cloud import join_clouds, read_mvs_cloud
from insaat_cli.external.openmvs_files import SubScene, read_sub_scene, sampling_area
from insaat_cli.external.openmvs_sub_scenes import fused_cloud, join_sub_scenes, split_scene


@pytest.mark.parametrize("version", [6, 7])
def test_the_photos_and_the_box_of_a_sub_scene(version: int, tmp_path: Path) -> None:
    box = ((-1.0, 0.5, 2.0), (1.0, 2.5, 4.0))
    write_scene(tmp_path / "scene_0000.mvs", [2, 5, 11], box, version)
    part = read_sub_scene(tmp_path / "scene_0000.mvs")
    assert part.image_ids.tolist() == [2, 5, 11]
    assert part.box.tolist() == [list(corner) for corner in box]


@pytest.mark.parametrize("version", [5, 8])
def test_scenes_of_other_versions_are_refused(version: int, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene.mvs", [1], version=version)
    with pytest.raises(StageError, match=f"version {version}"):
        read_sub_scene(tmp_path / "scene.mvs")


def test_files_that_are_cut_off(tmp_path: Path) -> None:
    scene, depth = tmp_path / "scene.mvs", tmp_path / "depth0000.dmap"
    write_scene(scene, [1, 2])
    write_depth_map(depth, 100.0, np.ones((16, 16)))
    for path, read in ((scene, read_sub_scene), (depth, sampling_area)):
        data = path.read_bytes()
        for kept in (0, 3, 40, 200):
            path.write_bytes(data[:kept])
            with pytest.raises(StageError, match=f"cannot read {path.name}"):
                read(path)


def test_the_sampling_area_counts_every_eighth_pixel_that_has_a_depth(tmp_path: Path) -> None:
    depth = np.full((24, 40), 2.0)
    depth[:8] = 0.0
    write_depth_map(tmp_path / "depth0000.dmap", 300.0, depth)
    samples = 2 * 5  # rows 12 and 20; columns 4, 12, 20, 28, 36
    assert sampling_area(tmp_path / "depth0000.dmap") == pytest.approx(samples * 0.01 * 300 / 2)


def test_an_area_that_splits_nothing_is_halved(tmp_path: Path) -> None:
    write_depth_map(tmp_path / "depth0000.dmap", 800.0, np.ones((16, 16)))
    whole, tried = 4 * 0.01 * 800, []

    def split(area: float) -> None:
        tried.append(area)
        for number in range(1 if area > whole / 8 else 3):
            write_scene(tmp_path / f"scene_{number:04}.mvs", [number])

    parts = split_scene(tmp_path, split, area=0.0, count=3)
    assert [part.name for part in parts] == [f"scene_000{number}.mvs" for number in range(3)]
    assert tried == pytest.approx([whole / 3, whole / 6, whole / 12])


def points(
    generator: np.random.Generator, count: int, box: Box
) -> tuple[np.ndarray, list[list[int]]]:
    """Inside a box, each seen by up to four of a part's photos."""
    views = [sorted(generator.permutation(4)[: generator.integers(0, 5)]) for _ in range(count)]
    found = generator.uniform(*box, size=(count, 3)).astype(np.float32)
    return found, [[int(view) for view in seen] for seen in views]


def test_the_joined_cloud_is_that_of_the_whole_scene(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    parts, all_points, all_views = [], [], []
    for number, ids in enumerate(([0, 3, 7, 9], [1, 2, 300, 70_000], [4, 5, 6, 8])):
        box = ((10.0 * number, 0.0, 0.0), (10.0 * number + 10 + number, 10.0, 10.0))
        part = tmp_path / f"scene_{number:04}.mvs"
        write_scene(part, ids, box)
        parts.append(part)
        if number == 2:
            continue  # nothing was found in it
        found, views = points(generator, 50, box)
        write_seen_cloud(fused_cloud(part), found, views)
        all_points.append(found)
        all_views += [[ids[view] for view in seen] for seen in views]
    join_sub_scenes(parts, tmp_path / "joined.ply")
    write_seen_cloud(tmp_path / "whole.ply", np.concatenate(all_points), all_views)
    assert (tmp_path / "joined.ply").read_bytes() == (tmp_path / "whole.ply").read_bytes()
    assert len(read_mvs_cloud(tmp_path / "joined.ply").points) == 100


def test_where_boxes_overlap_the_smaller_one_counts(tmp_path: Path) -> None:
    large, small = ((0.0, 0.0, 0.0), (4.0, 4.0, 4.0)), ((1.0, 1.0, 1.0), (3.0, 3.0, 3.0))
    inside, outside = [2.0, 2.0, 2.0], [0.5, 2.0, 2.0]
    parts = [tmp_path / "scene_0000.mvs", tmp_path / "scene_0001.mvs"]
    write_scene(parts[0], [0, 1], large)
    write_seen_cloud(fused_cloud(parts[0]), np.array([inside, outside, inside]), [[0], [0, 1], []])
    write_scene(parts[1], [2, 3], small)
    write_seen_cloud(fused_cloud(parts[1]), np.array([inside]), [[0, 1]])
    join_sub_scenes(parts, tmp_path / "joined.ply")
    write_seen_cloud(tmp_path / "expected.ply", np.array([inside, outside]), [[2, 3], [0, 1]])
    assert (tmp_path / "joined.ply").read_bytes() == (tmp_path / "expected.ply").read_bytes()


def test_clouds_that_do_not_fit_together(tmp_path: Path) -> None:
    one, other = tmp_path / "one.ply", tmp_path / "other.ply"
    write_seen_cloud(one, np.zeros((1, 3)), [[5]])
    with pytest.raises(StageError, match="not in its part"):
        join_clouds({one: part(photos=5)}, tmp_path / "joined.ply")
    other.write_bytes(one.read_bytes().replace(b"float32 nx", b"float64 nx"))
    with pytest.raises(StageError, match="different properties"):
        join_clouds({one: part(), other: part()}, tmp_path / "joined.ply")
    one.write_bytes(one.read_bytes()[:-3])
    with pytest.raises(StageError, match="cannot join the parts"):
        join_clouds({one: part()}, tmp_path / "joined.ply")


def part(photos: int = 9) -> SubScene:
    return SubScene(image_ids=np.arange(photos, dtype=np.uint32), box=np.array(EVERYWHERE))
