"""A whole run with masks: what is masked is neither matched, measured nor painted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

from insaat_cli.engine.render.raster import rasterize
from insaat_cli.scenes import SceneTruth, make_photo_set
from insaat_cli.scenes.scoring import estimated_centres, score_centres, true_centres

LONGEST_S = 600
MAGENTA = (255, 0, 255)
ROOM_PX = 9
"""Around the subject's outline."""


def insaat(*arguments: str | Path) -> list[dict[str, Any]]:
    """The events of a command that ends well."""
    program = Path(sys.executable).with_name("insaat")
    done = subprocess.run(
        [str(program), *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def mask_and_spoil(truth: SceneTruth, masks: Path) -> None:
    """Masks of the subject; all else in the photos becomes a screen that moves with the camera."""
    masks.mkdir()
    grid = np.indices((truth.cameras[0].lens.height, truth.cameras[0].lens.width)).sum(0) // 12 % 2
    screen = np.where(grid[..., None] == 0, MAGENTA, (0, 0, 0)).astype(np.uint8)
    for camera in truth.cameras:
        points = truth.mesh.vertices @ camera.R.T + camera.t
        lens = camera.lens
        seen = rasterize(points, truth.mesh.faces, lens.K, lens.width, lens.height, threads=1).face
        subject = cv2.dilate((seen >= 0).astype(np.uint8), np.ones((ROOM_PX, ROOM_PX)))
        cv2.imwrite(str(masks / f"{camera.name}.png"), 255 * subject)
        photo = cv2.imread(str(truth.images / camera.name))
        assert photo is not None
        photo[subject == 0] = screen[subject == 0]
        cv2.imwrite(str(truth.images / camera.name), photo, [cv2.IMWRITE_JPEG_QUALITY, 97])


@pytest.mark.timeout(LONGEST_S)
def test_masked_parts_leave_no_trace(tmp_path: Path) -> None:
    truth = make_photo_set(tmp_path / "set", photos=16, width=480, height=360, k1=0.0)
    masks, out = tmp_path / "masks", tmp_path / "out"
    mask_and_spoil(truth, masks)
    command = ("reconstruct", truth.images, "-o", out, "--preset", "draft", "--masks", masks)
    insaat(*command)
    cameras = score_centres(
        estimated_centres(out / "cameras.json"), true_centres(truth.folder / "cameras.json")
    )
    assert cameras.registered == 16, "the screen, which moves, was not matched"
    assert cameras.median < 0.005
    scene: Any = trimesh.load(out / "model.glb", force="mesh", process=False)
    points = cameras.alignment.apply(np.asarray(scene.vertices))
    low, high = truth.mesh.vertices.min(axis=0), truth.mesh.vertices.max(axis=0)
    room = 0.1 * float((high - low).max())
    outside = ((points < low - room) | (points > high + room)).any(axis=1)
    assert outside.mean() < 0.02, "what is masked is not built"
    texture = np.asarray(scene.visual.material.baseColorTexture.convert("RGB")).astype(int)
    uv = np.asarray(scene.visual.uv)
    rows = np.clip(((1 - uv[:, 1]) * texture.shape[0]).astype(int), 0, texture.shape[0] - 1)
    columns = np.clip((uv[:, 0] * texture.shape[1]).astype(int), 0, texture.shape[1] - 1)
    red, green, blue = texture[rows, columns].T
    assert np.mean((red > green + 80) & (blue > green + 80)) < 0.005, "nor painted"
    check_rerun_after_change(command, masks / f"{truth.cameras[0].name}.png")


def check_rerun_after_change(command: tuple[str | Path, ...], mask: Path) -> None:
    cv2.imwrite(str(mask), np.full((360, 480), 255, np.uint8))
    planned = [event for event in insaat(*command, "--dry-run") if event["event"] == "run_planned"]
    assert planned
    assert not any(event["skipped"] for event in planned)
