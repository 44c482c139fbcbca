"""Write a model as GLB, OBJ, PLY, STL, 3MF or USDZ.

GLB, USDZ, OBJ and PLY are Y up, in metres once the scale is known. STL and 3MF are for printers:
Z up, in millimetres.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from insaat_cli.mesh_io.glb_writer import glb_bytes, jpeg_bytes
from insaat_cli.mesh_io.model import Floats, Model, Part, transformed, vertex_colors
from insaat_cli.mesh_io.usdz import usdz_bytes

MILLIMETRES = 1000.0
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("spare", "<u2")])
MODEL_3MF = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
PARTS_3MF = {
    "[Content_Types].xml": (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="model" '
        'ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
    ),
    "_rels/.rels": (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Target="/3D/3dmodel.model" Id="rel0" '
        'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
    ),
}


class MeshFormat(StrEnum):
    """File formats of a model, by the ending of the file."""

    GLB = "glb"
    OBJ = "obj"
    PLY = "ply"
    STL = "stl"
    THREE_MF = "3mf"
    USDZ = "usdz"


PRINTER_FORMATS = frozenset({MeshFormat.STL, MeshFormat.THREE_MF})


def write_model(model: Model, path: Path, kind: MeshFormat, *, draco: bool = False) -> list[Path]:
    """Write `model`; returns the files made (OBJ has more than one). `draco` is for GLB alone."""
    if kind is MeshFormat.OBJ:
        return write_obj(model, path)
    if kind is MeshFormat.GLB:
        path.write_bytes(glb_bytes(transformed(model, scale=in_metres(model)), draco=draco))
        return [path]
    path.write_bytes(_ENCODERS[kind](model))
    return [path]


def face_count(model: Model, kind: MeshFormat) -> int:
    """How many faces a file of this kind holds: those for printers lose faces without an area."""
    return len(model.shape()[1]) if kind in PRINTER_FORMATS else model.faces


def texture_name(path: Path, number: int) -> str:
    """The JPEG of a part beside the OBJ file at `path`: model.jpg, then model-2.jpg and so on."""
    return f"{path.stem}-{number + 1}.jpg" if number else f"{path.stem}.jpg"


def in_metres(model: Model) -> float:
    """Factor from model units to those of a file in metres; 1 where the scale is unknown."""
    return model.metres_per_unit or 1.0


def printer_shape(model: Model) -> tuple[Floats, npt.NDArray[np.int64]]:
    """One triangle mesh, Z up, in millimetres (in model units where the scale is unknown)."""
    vertices, faces = model.shape()
    factor = model.metres_per_unit * MILLIMETRES if model.metres_per_unit else 1.0
    turned = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1)
    return turned * factor, faces


def stl_bytes(model: Model) -> bytes:
    """Binary STL."""
    vertices, faces = printer_shape(model)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    records = np.zeros(len(faces), STL_RECORD)
    records["normal"], records["corners"] = normals, corners
    unit = b"millimetres" if model.metres_per_unit else b"model units"
    header = (b"insaat, Z up, " + unit).ljust(80, b" ")
    return header + np.uint32(len(faces)).tobytes() + records.tobytes()


def three_mf_bytes(model: Model) -> bytes:
    """3MF, core specification 1.3."""
    vertices, faces = printer_shape(model)
    text = io.StringIO()
    text.write('<?xml version="1.0" encoding="UTF-8"?>\n<model unit="millimeter" xml:lang="en-US" ')
    text.write(f'xmlns="{MODEL_3MF}"><resources><object id="1" type="model"><mesh><vertices>\n')
    np.savetxt(text, vertices, fmt='<vertex x="%.7g" y="%.7g" z="%.7g"/>')
    text.write("</vertices><triangles>\n")
    np.savetxt(text, faces, fmt='<triangle v1="%d" v2="%d" v3="%d"/>')
    text.write(
        '</triangles></mesh></object></resources><build><item objectid="1"/></build></model>'
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in {**PARTS_3MF, "3D/3dmodel.model": text.getvalue()}.items():
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, content)
    return stream.getvalue()


def ply_bytes(model: Model) -> bytes:
    """Binary PLY with a color a vertex, from the texture where there is one.

    The copies of a vertex along the seams of the texture are one, of their mean color.
    """
    starts = np.cumsum([0, *(len(part.vertices) for part in model.parts)])
    corners = np.concatenate(
        [part.faces + at for part, at in zip(model.parts, starts, strict=False)]
    )
    places, colors, same = _joined(
        np.concatenate([part.vertices * in_metres(model) for part in model.parts]),
        np.concatenate([_colors(part) for part in model.parts]),
    )
    fields = [(axis, "<f4") for axis in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")]
    rows = np.zeros(len(places), fields)
    for axis, values in zip("xyz", places.T, strict=True):
        rows[axis] = values
    for name, values in zip(("red", "green", "blue"), colors.T, strict=True):
        rows[name] = values
    faces = np.zeros(model.faces, [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, same[corners]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"property uchar {name}" for name in ("red", "green", "blue")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    return "\n".join([*header, ""]).encode() + rows.tobytes() + faces.tobytes()


def _joined(
    vertices: Floats, colors: npt.NDArray[np.uint8]
) -> tuple[Floats, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Places (n, 3) that are all different, their mean colors, and the place of each vertex."""
    places, same = np.unique(vertices + 0.0, axis=0, return_inverse=True)
    same = same.reshape(-1)
    count = np.bincount(same)
    mean = np.stack([np.bincount(same, colors[:, k]) / count for k in range(3)], axis=1)
    return places, np.rint(mean).astype(np.uint8), same


def _colors(part: Part) -> npt.NDArray[np.uint8]:
    found = vertex_colors(part)
    return np.full((len(part.vertices), 3), 200, np.uint8) if found is None else found


def write_obj(model: Model, path: Path) -> list[Path]:
    """OBJ with an MTL and one JPEG a textured part beside it."""
    material_path = path.with_suffix(".mtl")
    files = [path, material_path]
    factor, start = in_metres(model), 1
    with (
        path.open("w", encoding="utf-8") as shape,
        material_path.open("w", encoding="utf-8") as look,
    ):
        shape.write(f"mtllib {material_path.name}\n")
        for number, part in enumerate(model.parts):
            shape.write(f"usemtl part{number}\n")
            look.write(f"newmtl part{number}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\n")
            rows = part.vertices * factor
            if part.texture is None and part.colors is not None:
                rows = np.concatenate([rows, part.colors / 255], axis=1)
            np.savetxt(shape, rows, fmt=" ".join(["v", *["%.7g"] * rows.shape[1]]))
            corners = part.faces + start
            if part.texture is not None and part.uv is not None:
                picture = path.with_name(texture_name(path, number))
                picture.write_bytes(jpeg_bytes(part.texture))
                files.append(picture)
                look.write(f"map_Kd {picture.name}\n")
            uv = np.zeros((len(part.vertices), 2)) if part.uv is None else part.uv
            np.savetxt(shape, uv, fmt="vt %.7g %.7g")
            np.savetxt(shape, np.repeat(corners, 2, axis=1), fmt="f %d/%d %d/%d %d/%d")
            start += len(part.vertices)
    return files


_ENCODERS: dict[MeshFormat, Callable[[Model], bytes]] = {
    MeshFormat.PLY: ply_bytes,
    MeshFormat.STL: stl_bytes,
    MeshFormat.THREE_MF: three_mf_bytes,
    MeshFormat.USDZ: usdz_bytes,
}
