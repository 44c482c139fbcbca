"""The demo's model as a print, opened by the libraries of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from insaat_cli.cli.app import run

LONGEST_MM = 120


@pytest.mark.long
def test_demo_becomes_a_print_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    import lib3mf
    from pxr import Usd, UsdGeom

    assert run(["demo", "-o", str(tmp_path / "demo"), "--photos", "16", "--quiet"]) == 0
    command = ["export", str(tmp_path / "demo"), "-o", str(tmp_path / "out"), "--size",
               f"{LONGEST_MM}mm", "--watertight", "--format", "stl,3mf,usdz"]  # fmt: skip
    assert run(command) == 0
    check_print(tmp_path / "out", lib3mf, Usd, UsdGeom)


def check_print(out: Path, lib3mf: Any, usd: Any, usd_geom: Any) -> None:
    """STL by trimesh, 3MF by the consortium's library, USDZ by Pixar's."""
    mesh = trimesh.load_mesh(out / "model.stl")
    assert mesh.is_watertight
    assert mesh.extents.max() == pytest.approx(LONGEST_MM, abs=0.1)
    package = lib3mf.get_wrapper().CreateModel()
    package.QueryReader("3mf").ReadFromFile(str(out / "model.3mf"))
    objects = package.GetMeshObjects()
    assert objects.MoveNext()
    body = objects.GetCurrentMeshObject()
    assert body.IsManifoldAndOriented()
    box = body.GetOutbox()
    sides = np.subtract(list(box.MaxCoordinate), list(box.MinCoordinate))
    assert sides.max() == pytest.approx(LONGEST_MM, abs=0.1)
    stage = usd.Stage.Open(str(out / "model.usdz"))
    (shape,) = [usd_geom.Mesh(p) for p in stage.Traverse() if p.IsA(usd_geom.Mesh)]
    extents = np.ptp(np.array(shape.GetPointsAttr().Get()), axis=0)
    unit = usd_geom.GetStageMetersPerUnit(stage)
    assert extents.max() * unit == pytest.approx(LONGEST_MM / 1000, abs=1e-4)
