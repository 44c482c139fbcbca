"""The scorer must see errors of known size, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from insaat_cli.scenes import SceneTruth
from insaat_cli.scenes.scoring import (
    Similarity,
    robust_alignment,
    score_centres,
    score_surface,
    true_centres,
)

SAME = Similarity(scale=1.0, R=np.eye(3), t=np.zeros(3))


def similarity() -> Similarity:
    Q, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    return Similarity(scale=2.7, R=Q * np.sign(np.linalg.det(Q)), t=np.array([3.0, -1.0, 0.5]))


def test_alignment_survives_a_gross_outlier() -> None:
    truth = similarity()
    a = np.random.default_rng(0).normal(size=(12, 3))
    b = truth.apply(a)
    b[3] += 5.0
    found = robust_alignment(a, b)
    assert found.scale == pytest.approx(truth.scale)
    np.testing.assert_allclose(found.R, truth.R, atol=1e-9)


def test_centre_error_is_relative_to_the_distances_between_cameras(statue: SceneTruth) -> None:
    truth = true_centres(statue.folder / "cameras.json")
    frame = similarity()
    estimated = {name: frame.apply(centre[None])[0] for name, centre in truth.items()}
    exact = score_centres(estimated, truth)
    assert (exact.registered, exact.of) == (16, 16)
    assert exact.largest < 1e-9
    moved = dict(estimated)
    name = sorted(moved)[0]
    moved[name] = moved[name] + [0.1 * frame.scale, 0, 0]
    gaps = [np.linalg.norm(a - b) for a in truth.values() for b in truth.values() if a is not b]
    assert score_centres(moved, truth).largest == pytest.approx(0.1 / np.median(gaps), rel=0.02)


def test_two_cameras_are_too_few(statue: SceneTruth) -> None:
    truth = true_centres(statue.folder / "cameras.json")
    with pytest.raises(ValueError, match="only 2 of 16"):
        score_centres(dict(list(truth.items())[:2]), truth)


def test_surface_score_of_the_truth_and_of_a_wrong_surface(
    statue: SceneTruth, tmp_path: Path
) -> None:
    exact = score_surface(statue.folder / "object.ply", statue.folder, SAME, threshold=0.005)
    assert exact.f > 0.995
    mesh = trimesh.load(statue.folder / "object.ply", process=False)
    grown = trimesh.Trimesh(mesh.vertices + 0.012 * statue.mesh.normals, mesh.faces, process=False)
    grown.export(tmp_path / "grown.ply")
    assert score_surface(tmp_path / "grown.ply", statue.folder, SAME, threshold=0.005).f < 0.1
    front = mesh.triangles_center[:, 0] > 0
    half = trimesh.Trimesh(mesh.vertices, mesh.faces[front], process=False)
    half.export(tmp_path / "half.ply")
    score = score_surface(tmp_path / "half.ply", statue.folder, SAME, threshold=0.005)
    assert score.precision > 0.99
    assert 0.35 < score.recall < 0.65
