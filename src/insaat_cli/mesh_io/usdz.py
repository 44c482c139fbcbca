"""USDZ for AR on phones: one USD layer and its textures, stored unpacked and aligned.

Format: the USDZ specification (https://openusd.org/release/spec_usdz.html): a ZIP without
compression in which every file's data begins at a multiple of 64 bytes, the layer first.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np
import numpy.typing as npt

from insaat_cli.mesh_io.glb_writer import jpeg_bytes
from insaat_cli.mesh_io.model import Model, Part

ALIGNMENT = 64
LOCAL_HEADER_BYTES = 30
PADDING_ID = b"\x86\x19"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
MATERIAL = """    def Material "Material{number}"
    {{
        token outputs:surface.connect = </Model/Material{number}/Surface.outputs:surface>
        def Shader "Surface"
        {{
            uniform token info:id = "UsdPreviewSurface"
            {color}
            float inputs:roughness = 1
            float inputs:metallic = 0
            token outputs:surface
        }}
{reader}    }}
"""
READER = """        def Shader "Corner"
        {{
            uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname = "st"
            float2 outputs:result
        }}
        def Shader "Texture"
        {{
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = @{picture}@
            float2 inputs:st.connect = </Model/Material{number}/Corner.outputs:result>
            token inputs:sourceColorSpace = "sRGB"
            token inputs:wrapS = "clamp"
            token inputs:wrapT = "clamp"
            float3 outputs:rgb
        }}
"""


def usdz_bytes(model: Model) -> bytes:
    """The model as a USDZ package."""
    pictures = {
        f"textures/part{number}.jpg": jpeg_bytes(part.texture)
        for number, part in enumerate(model.parts)
        if part.texture is not None and part.uv is not None
    }
    return _package({"model.usda": _layer(model).encode(), **pictures})


def _layer(model: Model) -> str:
    unit = model.metres_per_unit or 1.0
    body = "".join(
        _mesh(number, part) + _look(number, part) for number, part in enumerate(model.parts)
    )
    return (
        '#usda 1.0\n(\n    defaultPrim = "Model"\n'
        f"    metersPerUnit = {unit:.9g}\n"
        '    upAxis = "Y"\n)\n\ndef Xform "Model" (\n    kind = "component"\n)\n{\n' + body + "}\n"
    )


def _mesh(number: int, part: Part) -> str:
    low, high = part.vertices.min(axis=0), part.vertices.max(axis=0)
    lines = [
        f"point3f[] points = {_tuples(part.vertices)}",
        f"float3[] extent = {_tuples(np.stack([low, high]))}",
        f"int[] faceVertexCounts = [{', '.join(['3'] * len(part.faces))}]",
        f"int[] faceVertexIndices = [{', '.join(map(str, part.faces.ravel().tolist()))}]",
        'uniform token subdivisionScheme = "none"',
        "uniform bool doubleSided = 1",
        f"rel material:binding = </Model/Material{number}>",
    ]
    if part.uv is not None and part.texture is not None:
        uv = _tuples(part.uv)
        lines.append(f'texCoord2f[] primvars:st = {uv} (\n            interpolation = "vertex")')
    elif part.colors is not None:
        shades = _tuples((part.colors / 255.0) ** 2.2)
        how = ' (\n            interpolation = "vertex")'
        lines.append(f"color3f[] primvars:displayColor = {shades}{how}")
    text = "".join(f"        {line}\n" for line in lines)
    schema = 'prepend apiSchemas = ["MaterialBindingAPI"]'
    return f'    def Mesh "Part{number}" (\n        {schema}\n    )\n    {{\n{text}    }}\n'


def _look(number: int, part: Part) -> str:
    color, reader = "color3f inputs:diffuseColor = (0.6, 0.6, 0.6)", ""
    if part.uv is not None and part.texture is not None:
        color = (
            f"color3f inputs:diffuseColor.connect = </Model/Material{number}/Texture.outputs:rgb>"
        )
        reader = READER.format(number=number, picture=f"textures/part{number}.jpg")
    return MATERIAL.format(number=number, color=color, reader=reader)


def _tuples(rows: npt.NDArray[np.float64]) -> str:
    stream = io.StringIO()
    np.savetxt(stream, rows, fmt=f"({', '.join(['%.7g'] * rows.shape[1])}),")
    return "[" + stream.getvalue().rstrip(",\n") + "]"


def _package(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as package:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            start = stream.tell() + LOCAL_HEADER_BYTES + len(name.encode()) + 4
            padding = -start % ALIGNMENT
            entry.extra = PADDING_ID + padding.to_bytes(2, "little") + b"\0" * padding
            package.writestr(entry, content)
    return stream.getvalue()
