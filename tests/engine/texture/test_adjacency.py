import numpy as np

from insaat_cli.engine.texture.adjacency import face_adjacency


def test_neighbours_of_a_tetrahedron() -> None:
    faces = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]], np.int32)
    adjacency = face_adjacency(faces)
    assert len(adjacency.edge_faces) == 6
    for face, near in enumerate(adjacency.neighbours):
        assert sorted(near) == sorted(set(range(4)) - {face})
    for vertices, (a, b) in zip(adjacency.edge_vertices, adjacency.edge_faces, strict=True):
        assert set(vertices) == set(faces[a]) & set(faces[b])


def test_open_and_non_manifold_edges() -> None:
    one_edge_three_faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]], np.int32)
    adjacency = face_adjacency(one_edge_three_faces)
    assert adjacency.edge_faces.tolist() == [[0, 1]]
    assert (adjacency.neighbours >= 0).sum() == 2
