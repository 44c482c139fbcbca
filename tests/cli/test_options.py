"""Options as the commands share them."""

from __future__ import annotations

import pytest

from insaat_cli.cli.options import listed_formats
from insaat_cli.export.export_model import parse_formats
from insaat_cli.mesh_io.formats import MeshFormat


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("", ()),
        ("obj", ("obj",)),
        (" obj , ply,", ("obj", "ply")),
        ("all", ("glb", "obj", "ply", "stl")),
        ("obj,all", ("glb", "obj", "ply", "stl")),
    ],
)
def test_formats_of_a_run(text: str, formats: tuple[str, ...]) -> None:
    assert listed_formats(text) == formats


def test_all_formats_of_an_export() -> None:
    assert parse_formats("all") == tuple(MeshFormat)
    assert parse_formats(".STL,glb,stl") == (MeshFormat.STL, MeshFormat.GLB)
