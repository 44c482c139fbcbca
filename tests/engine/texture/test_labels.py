"""Smooth labels on a strip and a grid of faces."""

from __future__ import annotations

import itertools

import numpy as np

from insaat_cli.engine.texture.adjacency import Adjacency, face_adjacency
from insaat_cli.engine.texture.candidates import Candidates
from insaat_cli.engine.texture.charts import absorb_small_charts, cut_charts
from insaat_cli.engine.texture.labels import choose_photos

from .conftest import square_grid


def _candidates(quality: np.ndarray) -> Candidates:
    """Every face sees every photo, with quality (F, P)."""
    faces, photos = quality.shape
    candidates = Candidates.empty(faces)
    candidates.count[:] = photos
    candidates.photo[:, :photos] = np.arange(photos)
    candidates.quality[:, :photos] = quality
    return candidates


def _energy(labels: np.ndarray, quality: np.ndarray, adjacency: Adjacency, weight: float) -> float:
    cost = 1 - quality / quality.max(axis=1, keepdims=True)
    a, b = adjacency.edge_faces.T
    return float(
        cost[np.arange(len(labels)), labels].sum() + weight * (labels[a] != labels[b]).sum()
    )


def test_the_minimum_on_a_strip_is_found() -> None:
    strip = np.array([[i, i + 1, i + 2] for i in range(9)], np.int32)
    adjacency = face_adjacency(strip)
    rng = np.random.default_rng(5)
    for _ in range(5):
        quality = rng.uniform(0.2, 1.0, (9, 3)).astype(np.float32)
        found = choose_photos(_candidates(quality), adjacency, smoothness=0.2)
        best = min(
            _energy(np.array(labels), quality, adjacency, 0.2)
            for labels in itertools.product(range(3), repeat=9)
        )
        assert _energy(found, quality, adjacency, 0.2) <= best + 1e-5


def test_noise_in_the_quality_does_not_scatter_the_charts() -> None:
    vertices, faces = square_grid(30)
    adjacency = face_adjacency(faces)
    left = vertices[faces].mean(axis=1)[:, 0] < 0
    rng = np.random.default_rng(6)
    quality = rng.uniform(0.4, 1.0, (len(faces), 4)).astype(np.float32)
    quality[:, 0] += 0.35 * left
    quality[:, 1] += 0.35 * ~left
    candidates = _candidates(quality)
    candidates.count[7] = 0  # a face that no photo saw
    labels = choose_photos(candidates, adjacency, smoothness=1.0)

    assert labels[7] == -1
    seen = labels >= 0
    assert (labels[seen] == np.where(left, 0, 1)[seen]).mean() > 0.93
    charts = cut_charts(faces, labels, adjacency)
    assert len(charts.photo_of_chart) <= 6


def test_a_small_chart_goes_to_its_surroundings_if_their_photo_sees_it() -> None:
    _, faces = square_grid(10)
    adjacency = face_adjacency(faces)
    quality = np.ones((len(faces), 2), np.float32)
    candidates = _candidates(quality)
    labels = np.zeros(len(faces), np.int32)
    labels[[44, 45]] = 1
    assert np.all(absorb_small_charts(labels, candidates, adjacency) == 0)

    candidates.count[[44, 45]] = 1
    candidates.photo[[44, 45], 0] = 1
    assert np.array_equal(absorb_small_charts(labels, candidates, adjacency), labels)


def test_every_chart_has_its_own_vertices() -> None:
    vertices, faces = square_grid(4)
    labels = (vertices[faces].mean(axis=1)[:, 0] > 0).astype(np.int32)
    charts = cut_charts(faces, labels, face_adjacency(faces))
    assert charts.photo_of_chart.tolist() == [0, 1]
    assert len(charts.vertex) == len(vertices) + 5  # the five on the seam twice
    assert np.array_equal(charts.vertex[charts.corners], faces)
    assert np.array_equal(charts.chart[charts.corners], charts.chart_of_face[:, None].repeat(3, 1))
