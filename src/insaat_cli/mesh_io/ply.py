"""Binary PLY files of point clouds and triangle meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.mesh_io.point_cloud import Cloud

Floats = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Classes = npt.NDArray[np.uint8]

CLOUD_TYPE = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    + [(name, "u1") for name in ("red", "green", "blue", "class")]
)
"""`class` is 0 where a point was measured, 1 where it was completed from its surroundings."""
TYPE_NAMES = {"<f4": "float", "|u1": "uchar", "<i4": "int"}
DTYPES = {
    "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8",
    "uchar": "u1", "uint8": "u1", "char": "i1", "int8": "i1",
    "short": "<i2", "int16": "<i2", "ushort": "<u2", "uint16": "<u2",
    "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4",
}  # fmt: skip


def write_cloud(path: Path, cloud: Cloud) -> None:
    rows = np.empty(len(cloud.points), CLOUD_TYPE)
    for values, names in (
        (cloud.points, ("x", "y", "z")),
        (cloud.normals, ("nx", "ny", "nz")),
        (cloud.colors, ("red", "green", "blue")),
    ):
        for column, name in enumerate(names):
            rows[name] = values[:, column]
    rows["class"] = cloud.completed
    with path.open("wb") as file:
        file.write(_header([("vertex", rows)]))
        rows.tofile(file)


def read_cloud(path: Path) -> Cloud:
    """Read what `write_cloud` wrote, or an earlier version of it without classes."""
    with path.open("rb") as file:
        elements = _read_header(file)
        name, count, dtype = elements[0]
        rows = np.fromfile(file, dtype, count)
    if name != "vertex" or len(rows) != count:
        raise ValueError(f"{path.name} is truncated or not a point cloud")
    return Cloud(
        points=np.stack([rows[c] for c in ("x", "y", "z")], 1).astype(np.float32),
        normals=np.stack([rows[c] for c in ("nx", "ny", "nz")], 1).astype(np.float32),
        colors=np.stack([rows[c] for c in ("red", "green", "blue")], 1).astype(np.uint8),
        completed=rows["class"] > 0 if "class" in (dtype.names or ()) else np.zeros(count, bool),
    )


def write_mesh(path: Path, vertices: Floats, faces: Faces, classes: Classes | None = None) -> None:
    """Write vertices (N, 3) and triangles (M, 3), and a number of each triangle where given."""
    rows = np.ascontiguousarray(vertices, "<f4").view(
        np.dtype([(name, "<f4") for name in ("x", "y", "z")])
    )
    fields = [("count", "u1"), ("index", "<i4", 3)]
    fields += [("class", "u1")] if classes is not None else []
    triangles = np.empty(len(faces), np.dtype(fields))
    triangles["count"] = 3
    triangles["index"] = faces
    if classes is not None:
        triangles["class"] = classes
    header = [
        "ply", "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}", "property float x", "property float y",
        "property float z", f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        *(["property uchar class"] if classes is not None else []), "end_header",
    ]  # fmt: skip
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode())
        rows.tofile(file)
        triangles.tofile(file)


def read_mesh(path: Path) -> tuple[Floats, Faces]:
    """Read vertices and triangles of a binary PLY whose faces are all triangles."""
    vertices, faces, _ = read_classed_mesh(path)
    return vertices, faces


def read_classed_mesh(path: Path) -> tuple[Floats, Faces, Classes | None]:
    """As `read_mesh`, and the class (M,) of each triangle; None in a file without classes."""
    with path.open("rb") as file:
        elements = _read_header(file)
        (_, vertex_count, vertex_type), (_, face_count, face_type) = elements[:2]
        rows = np.fromfile(file, vertex_type, vertex_count)
        triangles = np.fromfile(file, face_type, face_count)
    if len(triangles) != face_count or (len(triangles) and np.any(triangles["count"] != 3)):
        raise ValueError(f"{path.name} is truncated or has faces other than triangles")
    vertices = np.stack([rows[c] for c in ("x", "y", "z")], 1).astype(np.float32)
    classes = triangles["class"].astype(np.uint8) if "class" in (face_type.names or ()) else None
    return vertices, triangles["index"].astype(np.int32), classes


def _header(elements: list[tuple[str, npt.NDArray[np.void]]]) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0"]
    for name, rows in elements:
        lines.append(f"element {name} {len(rows)}")
        for field, (kind, _) in (rows.dtype.fields or {}).items():  # type: ignore[misc]
            lines.append(f"property {TYPE_NAMES[kind.str]} {field}")
    return ("\n".join([*lines, "end_header"]) + "\n").encode()


def _read_header(file) -> list[tuple[str, int, np.dtype]]:  # type: ignore
    elements: list[tuple[str, int, list]] = []  # type: ignore
    for raw in iter(file.readline, b""):
        words = raw.decode("ascii").split()
        if words[0] == "element":
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and words[1] == "list":
            elements[-1][2].append(("count", DTYPES[words[2]]))
            elements[-1][2].append(("index", DTYPES[words[3]], 3))
        elif words[0] == "property":
            elements[-1][2].append((words[2], DTYPES[words[1]]))
        elif words[0] == "end_header":
            break
    return [(name, count, np.dtype(fields)) for name, count, fields in elements]
