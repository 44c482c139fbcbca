"""Whole reconstructions against known truth, through the command, with stated tolerances.

Rendered scenes have exact truth; the shared sets are real photos, and a rendered one of another
make. Where only cameras matter the run ends after `sparse`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from insaat_cli.scenes import Subject, make_photo_set
from insaat_cli.scenes.scoring import estimated_centres, score_centres, score_surface, true_centres

LONGEST_S = 900


def reconstruct(photos: Path, workspace: Path, *more: str) -> Path:
    """Run the command to its end; the workspace."""
    program = Path(sys.executable).with_name("insaat")
    command = [str(program), "reconstruct", str(photos), "-o", str(workspace), "--json", *more]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LONGEST_S, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return workspace


def sparse_cameras(workspace: Path) -> Path:
    return workspace / "stages" / "sparse" / "cameras.json"


def metrics(workspace: Path, stage: str) -> dict:
    stages = json.loads((workspace / "run.json").read_text(encoding="utf-8"))["stages"]
    return next(entry["metrics"] for entry in stages if entry["name"] == stage)


@pytest.mark.timeout(LONGEST_S)
def test_rendered_statue(tmp_path: Path) -> None:
    truth = make_photo_set(tmp_path / "set", photos=16, width=960, height=720)
    out = reconstruct(truth.images, tmp_path / "out", "--preset", "draft")
    cameras = score_centres(
        estimated_centres(out / "cameras.json"), true_centres(truth.folder / "cameras.json")
    )
    assert (cameras.registered, cameras.of) == (16, 16)
    assert cameras.median < 0.001
    surface = score_surface(out / "model.glb", truth.folder, cameras.alignment, threshold=0.01)
    assert surface.f > 0.90, surface
    check_frame(out, cameras.alignment.R)
    intrinsics = json.loads((out / "cameras.json").read_text())["images"][0]
    focal_px = truth.cameras[0].lens.focal * intrinsics["width"] / 960
    assert intrinsics["K"][0][0] == pytest.approx(focal_px, rel=0.01)


@pytest.mark.timeout(LONGEST_S)
def test_photos_far_apart_fit_at_the_first_attempt(tmp_path: Path) -> None:
    """16 degrees between them, and of the preset with the fewest features."""
    photos = make_photo_set(tmp_path / "set", photos=12, width=960, height=720, arc=180).images
    out = reconstruct(photos, tmp_path / "out", "--preset", "draft", "--until", "sparse")
    assert metrics(out, "sparse")["attempts"] == [{"name": "incremental", "registered": 12}]


def check_frame(workspace: Path, truth_from_model: np.ndarray) -> None:
    """Y up, standing on y = 0, over the origin; the truth has z up."""
    up = truth_from_model @ [0, 1, 0]
    assert np.degrees(np.arccos(np.clip(up[2], -1, 1))) < 10
    mesh = trimesh.load(workspace / "model.glb", force="mesh", process=False)
    centres = np.array(list(estimated_centres(workspace / "cameras.json").values()))
    size = np.ptp(centres[:, [0, 2]], axis=0).max()
    assert abs(np.percentile(mesh.vertices[:, 1], 5)) < 0.1 * size
    assert np.linalg.norm(centres[:, [0, 2]].mean(axis=0)) < 0.3 * size


@pytest.mark.timeout(LONGEST_S)
def test_rendered_facade_without_exif(tmp_path: Path) -> None:
    """A nearly flat subject and an unknown focal length: the hard case for self-calibration."""
    truth = make_photo_set(
        tmp_path / "set", photos=12, width=960, height=720, subject=Subject.FACADE, exif=False
    )
    out = reconstruct(truth.images, tmp_path / "out", "--preset", "draft", "--until", "sparse")
    cameras = score_centres(
        estimated_centres(sparse_cameras(out)), true_centres(truth.folder / "cameras.json")
    )
    assert cameras.registered == 12
    assert cameras.median < 0.002


@pytest.mark.timeout(LONGEST_S)
def test_ogre(shared_data: Path, tmp_path: Path) -> None:
    ogre = shared_data / "ogre"
    out = reconstruct(ogre / "images", tmp_path / "out")
    cameras = score_centres(
        estimated_centres(out / "cameras.json"), true_centres(ogre / "cameras.json")
    )
    assert (cameras.registered, cameras.of) == (30, 30)
    surface = score_surface(out / "model.glb", ogre, cameras.alignment, threshold=0.01)
    assert surface.f >= 0.93, surface


@pytest.mark.timeout(LONGEST_S)
def test_fountain(shared_data: Path, tmp_path: Path) -> None:
    """No focal length in the files."""
    fountain = shared_data / "fountain-P11"
    out = reconstruct(fountain, tmp_path / "out", "--until", "sparse")
    cameras = score_centres(
        estimated_centres(sparse_cameras(out)), true_centres(fountain / "cameras.json")
    )
    assert (cameras.registered, cameras.of) == (11, 11)
    assert cameras.median <= 0.001


@pytest.mark.timeout(LONGEST_S)
def test_sceaux(shared_data: Path, tmp_path: Path) -> None:
    out = reconstruct(shared_data / "sceaux", tmp_path / "out")
    assert metrics(out, "sparse")["registered"] == 11
    model = trimesh.load(out / "model.glb", force="mesh", process=False)
    texture = np.asarray(model.visual.material.baseColorTexture.convert("L"), dtype=float)
    assert min(texture.shape) >= 1024
    assert texture.std() > 20, "the texture is blank"
    assert len(model.faces) > 20_000
