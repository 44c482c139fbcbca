"""Draco compression of a part, for KHR_draco_mesh_compression. Needs DracoPy (extra `draco`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insaat_cli.errors import UsageError
from insaat_cli.mesh_io.model import Floats, Part

POSITION_BITS = 16
"""Of the longest side: 0.02 mm on a metre."""
TEXTURE_BITS = 16
LEVEL = 7
"""Of 10; higher levels gain next to nothing and take longer to decode."""
POSITION, COLOR, TEXTURE = 0, 2, 3
"""Draco's attribute types."""
SEMANTICS = {POSITION: "POSITION", COLOR: "COLOR_0", TEXTURE: "TEXCOORD_0"}


@dataclass(frozen=True, kw_only=True)
class DracoPart:
    """A compressed part, and what a reader will find in it."""

    data: bytes
    vertices: int
    faces: int
    low: Floats
    high: Floats
    """(3,): its bounding box after rounding."""
    ids: dict[str, int]
    """glTF attribute → Draco's id."""


def compress(part: Part) -> DracoPart:
    """Compress shape and texture coordinates, or colors (linear, as glTF wants them).

    Raises UsageError without DracoPy. Draco orders vertices and faces anew.
    """
    try:
        import DracoPy
    except ImportError as error:
        raise UsageError(
            "--compress draco needs the package DracoPy",
            hint="pip install 'insaat-cli[draco]'",
        ) from error
    more: dict[str, object] = {}
    if part.texture is not None and part.uv is not None:
        uv = np.stack([part.uv[:, 0], 1.0 - part.uv[:, 1]], axis=1)
        more = {"tex_coord": uv, "tex_coord_quantization_bits": TEXTURE_BITS}
    elif part.colors is not None:
        linear = np.concatenate(
            [(part.colors / 255.0) ** 2.2, np.ones((len(part.colors), 1))], axis=1
        )
        more = {"colors": np.round(linear * 255).astype(np.uint8)}
    data: bytes = DracoPy.encode(
        part.vertices.astype(np.float64),
        part.faces.astype(np.uint32),
        quantization_bits=POSITION_BITS,
        compression_level=LEVEL,
        **more,
    )
    found = DracoPy.decode(data)
    return DracoPart(
        data=data,
        vertices=len(found.points),
        faces=len(found.faces),
        low=found.points.min(axis=0),
        high=found.points.max(axis=0),
        ids={
            SEMANTICS[one["attribute_type"]]: int(one["unique_id"])
            for one in found.attributes
            if one["attribute_type"] in SEMANTICS
        },
    )
