"""Islands, folds and flat parts."""

import numpy as np

from insaat_cli.engine.surface.decimation import merge_flat
from insaat_cli.engine.surface.mesh_cleaning import remove_small_components, without_folds


def grid_mesh(side, z=0.0, shift=0.0):
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    vertices = np.stack([x.ravel() + shift, y.ravel(), np.full(x.size, z)], 1).astype(np.float32)
    index = np.arange(side * side).reshape(side, side)
    a, b = index[:-1, :-1].ravel(), index[1:, :-1].ravel()
    c, d = index[1:, 1:].ravel(), index[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    return vertices, faces


def area(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()


def test_a_small_island_is_dropped():
    big, small = grid_mesh(30), grid_mesh(2, shift=100.0)
    vertices = np.concatenate([big[0], small[0]])
    faces = np.concatenate([big[1], small[1] + len(big[0])]).astype(np.int32)
    kept_vertices, kept_faces, components = remove_small_components(vertices, faces, 0.01)
    assert components == 1
    assert len(kept_vertices) == len(big[0])
    assert np.array_equal(kept_faces, big[1])
    assert remove_small_components(vertices, faces, 0.0)[2] == 2


def test_folds_go_and_the_rest_stays():
    vertices, faces = grid_mesh(4)
    back_to_back = np.array([[0, 5, 10], [0, 10, 5]], np.int32)
    degenerate = np.array([[1, 1, 2]], np.int32)
    crowded = np.concatenate([faces, back_to_back, degenerate])
    assert np.array_equal(without_folds(vertices, crowded), faces)


def test_the_smallest_face_at_a_crowded_edge_goes():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [0, 5, 0], [0, -5, 0], [0, 0, 1]])
    faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]], np.int32)
    assert np.array_equal(without_folds(vertices, faces), faces[:2])


def test_a_flat_mesh_needs_few_faces_and_keeps_its_area():
    vertices, faces = grid_mesh(64)
    normals = np.tile(np.float32([0, 0, 1]), (len(vertices), 1))
    merged, left = merge_flat(vertices, normals, faces, 1.0, 3, 0.05)
    assert len(left) < len(faces) / 30
    assert np.all(merged[:, 2] == 0)
    assert abs(area(merged, left) / 56**2 - 1) < 0.01  # the border moves in by half a cell


def test_a_bent_mesh_keeps_its_faces():
    vertices, faces = grid_mesh(64)
    vertices[:, 2] = 8 * np.sin(vertices[:, 0] / 4)
    slope = 2 * np.cos(vertices[:, 0] / 4)
    normals = np.stack([-slope, np.zeros_like(slope), np.ones_like(slope)], 1)
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    merged, left = merge_flat(vertices, normals, faces, 1.0, 3, 0.05)
    assert len(left) > len(faces) / 8
    assert np.max(np.abs(merged[:, 2] - 8 * np.sin(merged[:, 0] / 4))) < 0.3
