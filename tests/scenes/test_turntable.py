"""The rendered turntable: what is behind the subject stands still, and is found to."""

from __future__ import annotations

from pathlib import Path

import cv2

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.engine.sfm.still_background import find_still_groups
from insaat_cli.scenes import make_photo_set


def test_the_background_is_left_out_and_the_subject_is_not(tmp_path: Path) -> None:
    truth = make_photo_set(tmp_path, photos=10, width=240, height=180, turntable=True)
    pictures = [
        cv2.imread(str(truth.images / camera.name), cv2.IMREAD_GRAYSCALE)
        for camera in truth.cameras
    ]
    groups = find_still_groups(pictures)
    assert [group.photos for group in groups] == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]
    for group in groups:
        camera = truth.cameras[group.photos[0]]
        local = truth.mesh.vertices @ camera.R.T + camera.t
        subject = rasterize(local, truth.mesh.faces, camera.lens.K, 240, 180).face >= 0
        assert (group.kept & subject).sum() > 0.99 * subject.sum()
        assert group.kept.mean() < 0.5
        assert not group.kept[:, :10].any(), "the house and the cobbles at the edge"
