"""Files that other programs open, at the size that was asked for."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from insaat_cli.errors import InsaatError, UsageError
from insaat_cli.export.export_model import (
    Compression,
    Exported,
    ExportOptions,
    export,
    parse_formats,
)
from insaat_cli.export.ground_plane import cut_ground, find_ground
from insaat_cli.export.scale import scale_from_gps
from insaat_cli.mesh_io.glb_check import check_glb
from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.mesh_io.model import Model, Part, read_model

SUBJECT_RADIUS = 1.0
GROUND_SIDE = 6.0


def textured(mesh: trimesh.Trimesh) -> Part:
    """The mesh with a texture whose red grows with x and green with height."""
    vertices = np.asarray(mesh.vertices)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 64)
    pixels[..., 1] = np.linspace(255, 0, 64)[:, None]
    uv = ((vertices - low) / np.maximum(high - low, 1e-9))[:, :2]
    texture = Image.fromarray(pixels)
    return Part(vertices=vertices, faces=np.asarray(mesh.faces), uv=uv, texture=texture)


def tilted_scene() -> Model:
    """A ball, cut off at the ground, on a wavy ground that leans a little."""
    ball = trimesh.creation.icosphere(subdivisions=4)
    ball.apply_translation([0, 0.7, 0])
    ball.update_faces(ball.triangles_center[:, 1] > 0)
    steps = np.linspace(-GROUND_SIDE / 2, GROUND_SIDE / 2, 60)
    x, z = np.meshgrid(steps, steps, indexing="ij")
    y = 0.01 * np.sin(5 * x) * np.cos(4 * z)
    at = np.arange(60 * 60).reshape(60, 60)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)])
    ground = trimesh.Trimesh(np.stack([x.ravel(), y.ravel(), z.ravel()], 1), faces, process=False)
    scene = trimesh.util.concatenate([ball, ground])
    scene.apply_transform(trimesh.transformations.rotation_matrix(0.08, [1, 0, 0.4]))
    return Model(parts=(textured(scene),))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    box = trimesh.creation.box((2, 1, 0.5)).subdivide().subdivide()
    path = tmp_path_factory.mktemp("model") / "box.glb"
    path.write_bytes(glb_bytes(Model(parts=(textured(box),))))
    return path


def exported(model_file: Path, output: Path, formats: str, **more: object) -> Exported:
    return export(
        ExportOptions(
            source=model_file, output=output, formats=parse_formats(formats), threads=2, **more
        )
    )


def test_printer_files_stand_upright_in_millimetres(model_file: Path, tmp_path: Path) -> None:
    done = exported(model_file, tmp_path, "stl,3mf", size="120mm")
    expected = [120, 30, 60]
    assert done.scaled and done.watertight
    assert done.sides == pytest.approx([0.12, 0.03, 0.06])
    assert done.volume == pytest.approx(0.12 * 0.03 * 0.06)
    mesh = trimesh.load_mesh(tmp_path / "model.stl")
    assert mesh.is_watertight
    assert mesh.extents == pytest.approx(expected, abs=0.001)
    assert mesh.volume == pytest.approx(120 * 30 * 60, rel=1e-4)


def test_3mf_opens_in_the_consortiums_library(model_file: Path, tmp_path: Path) -> None:
    import lib3mf

    exported(model_file, tmp_path, "3mf", size="120mm")
    package = lib3mf.get_wrapper().CreateModel()
    package.QueryReader("3mf").ReadFromFile(str(tmp_path / "model.3mf"))
    objects = package.GetMeshObjects()
    assert objects.MoveNext()
    mesh = objects.GetCurrentMeshObject()
    assert mesh.IsManifoldAndOriented()
    assert mesh.GetTriangleCount() == 12 * 16
    box = mesh.GetOutbox()
    assert box.MaxCoordinate[0] - box.MinCoordinate[0] == pytest.approx(120, abs=0.01)


def test_usdz_passes_the_validators_of_usd(model_file: Path, tmp_path: Path) -> None:
    from pxr import Usd, UsdGeom, UsdShade, UsdValidation

    exported(model_file, tmp_path, "usdz", size="120mm")
    path = tmp_path / "model.usdz"
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    errors = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [error.GetMessage() for error in errors] == []
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    (mesh,) = [UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    extents = np.ptp(np.array(mesh.GetPointsAttr().Get()), axis=0)
    assert extents * UsdGeom.GetStageMetersPerUnit(stage) == pytest.approx([0.12, 0.06, 0.03])
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    assert material.GetPrim().IsValid()
    content = path.read_bytes()
    with zipfile.ZipFile(path) as package:
        for entry in package.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            name, extra = (
                content[entry.header_offset + 26 :][:2],
                content[entry.header_offset + 28 :][:2],
            )
            lengths = int.from_bytes(name, "little") + int.from_bytes(extra, "little")
            assert (entry.header_offset + 30 + lengths) % 64 == 0, "phones map it into memory"
        picture = Image.open(io.BytesIO(package.read("textures/part0.jpg")))
    assert picture.size == (64, 64)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_files_to_share_keep_their_colors(model_file: Path, tmp_path: Path, kind: str) -> None:
    exported(model_file, tmp_path, kind, scale="0.5")
    scene = trimesh.load_scene(tmp_path / f"model.{kind}", process=False)
    (mesh,) = scene.dump(concatenate=False)
    assert mesh.extents == pytest.approx([1, 0.5, 0.25], abs=1e-4)
    colors = mesh.visual if kind == "ply" else mesh.visual.to_color()
    shades = np.asarray(colors.vertex_colors)[:, :2].astype(float)
    expected = 255 * (mesh.vertices[:, :2] - mesh.bounds[0, :2]) / mesh.extents[:2]
    assert np.abs(shades - expected).mean() < 6


def test_smaller_texture_and_fewer_faces(model_file: Path, tmp_path: Path) -> None:
    exported(model_file, tmp_path, "glb", texture_size=16)
    part = read_model(tmp_path / "model.glb").parts[0]
    assert part.texture is not None and part.texture.size == (16, 16)
    done = exported(model_file, tmp_path, "glb", max_faces=100)
    assert done.faces <= 100


def test_ground_is_found_levelled_and_cut() -> None:
    scene = tilted_scene()
    ground = find_ground(*scene.shape())
    assert ground is not None
    truth = trimesh.transformations.rotation_matrix(0.08, [1, 0, 0.4])[:3, 1]
    assert ground.normal @ truth > np.cos(np.radians(0.3))
    assert abs(ground.height) < 0.02
    cut = cut_ground(scene)
    low, high = cut.bounds
    assert low[1] == pytest.approx(0, abs=1e-9)
    assert high - low == pytest.approx([2, 1.7, 2], abs=0.1), "only the ball is left"
    part = cut.parts[0]
    assert part.uv is not None and part.uv.min() >= 0 and part.uv.max() <= 1


def test_statue_on_the_ground_becomes_a_print(tmp_path: Path) -> None:
    path = tmp_path / "scene.glb"
    path.write_bytes(glb_bytes(tilted_scene()))
    done = exported(path, tmp_path / "out", "stl", size="120mm", watertight=True, cut_ground=True)
    mesh = trimesh.load_mesh(tmp_path / "out" / "model.stl")
    assert done.watertight and mesh.is_watertight
    assert mesh.extents.max() == pytest.approx(120, abs=0.1)
    assert mesh.bounds[0, 2] == pytest.approx(0, abs=0.01)
    height = 1.7 - 0.03  # the ground's waves
    expected = np.pi * height**2 * (3 - height) / 3 * (mesh.extents.max() / 2.0) ** 3
    assert mesh.volume == pytest.approx(expected, rel=0.05)


def test_no_ground_is_said(model_file: Path, tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    path = tmp_path / "ball.ply"
    ball.export(path)
    with pytest.raises(InsaatError, match="no ground"):
        exported(path, tmp_path, "stl", cut_ground=True)


def test_packed_files_are_for_glb_and_pages(model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--compress"):
        exported(model_file, tmp_path, "stl", compress=Compression.DRACO)
    done = exported(model_file, tmp_path, "glb", compress=Compression.DRACO, html=True)
    glb, page = done.files
    facts = check_glb(glb, glb.read_bytes(), compressed=True)
    assert facts.faces == done.faces
    text = page.read_text(encoding="utf-8")
    policy = text[: text.index("<style>")]
    assert policy.count("'sha256-") == 3, "script, decoder and style"
    assert "unsafe" not in policy
    assert "DracoDecoderModule=" in text


def test_run_that_knows_its_scale_gives_it_to_its_exports(model_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "result"
    folder.mkdir()
    (folder / "model.glb").write_bytes(model_file.read_bytes())
    (folder / "run.json").write_text(json.dumps({"metres_per_unit": 0.5}))
    assert exported(folder, tmp_path / "a", "stl").sides == pytest.approx([1.0, 0.25, 0.5])
    mesh = trimesh.load_mesh(tmp_path / "a" / "model.stl")
    assert mesh.extents == pytest.approx([1000, 250, 500], rel=1e-4)
    sized = exported(folder, tmp_path / "b", "stl", size="120mm")
    assert max(sized.sides) == pytest.approx(0.12)
    assert exported(folder, tmp_path / "c", "stl", scale="2").sides[0] == pytest.approx(4.0)


def test_files_of_others_are_not_replaced(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "model.mtl").write_text("theirs")
    with pytest.raises(UsageError, match=r"model\.mtl, which insaat export did not make"):
        exported(model_file, tmp_path, "glb,obj")
    assert [path.name for path in tmp_path.iterdir()] == ["model.mtl"]
    for more in ({"overwrite": True}, {}):
        files = exported(model_file, tmp_path, "glb,obj", **more).files
        made = json.loads((tmp_path / ".insaat.json").read_text())["made"]
        assert {path.name for path in files} == set(made)


def test_results_of_a_run_are_not_replaced(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "model.glb").write_bytes(model_file.read_bytes())
    with pytest.raises(UsageError, match="did not make"):
        exported(tmp_path, tmp_path, "glb", max_faces=20)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "model.glb").write_text("of an earlier version")
    export(ExportOptions(source=tmp_path, formats=parse_formats("glb"), threads=2))


def test_a_model_of_an_earlier_run_is_said(model_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "result"
    folder.mkdir()
    (folder / "model.glb").write_bytes(model_file.read_bytes())
    (folder / "run.json").write_text(
        json.dumps(
            {
                "run": "new",
                "runs": {"new": {"request": "b"}},
                "result_files": {"model.glb": {"run": "old", "request": "a"}},
                "error": {"code": 5, "stage": "dense"},
            }
        )
    )
    said = "the last run, with other photos or settings, failed in dense"
    for source in (folder, folder / "model.glb"):
        (note,) = exported(source, tmp_path / "out", "glb").notes
        assert note.endswith(said)


def test_scale_from_two_model_points(model_file: Path, tmp_path: Path) -> None:
    done = exported(model_file, tmp_path, "stl", distance=("-1,0,0", "1,0,0", "50 cm"))
    assert done.sides == pytest.approx([0.5, 0.125, 0.25])


def test_scale_from_two_points_in_a_photo(model_file: Path, tmp_path: Path) -> None:
    """A camera 5 in front of the box's front face (z = 0.25) sees x = -1 and x = 1."""
    folder = tmp_path / "result"
    folder.mkdir()
    (folder / "model.glb").write_bytes(model_file.read_bytes())
    camera = {
        "name": "a:b.jpg",
        "width": 400,
        "height": 300,
        "K": [[500, 0, 200], [0, 500, 150], [0, 0, 1]],
        "distortion": {"model": "SIMPLE_RADIAL", "params": {"k": 0.1}},
        "cam_from_world": [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 5.25]],
        "center": [0, 0, 5.25],
    }
    (folder / "cameras.json").write_text(json.dumps({"images": [camera]}))
    photo = {"name": "a:b.jpg", "width": 4000, "height": 3000}
    (folder / "photos.json").write_text(json.dumps({"photos": [photo], "left_out": []}))
    slope = 0.999 / 5
    shift = 10 * 500 * slope * (1 + 0.1 * slope**2)
    points = [f"a:b.jpg:{2000 + sign * shift},1500" for sign in (-1, 1)]
    done = export(
        ExportOptions(
            source=folder, formats=parse_formats("stl"), distance=(*points, "1998mm"), threads=1
        )
    )
    assert done.sides == pytest.approx([2, 0.5, 1], rel=1e-4)
    with pytest.raises(UsageError, match="does not hit"):
        export(
            ExportOptions(
                source=folder,
                formats=parse_formats("stl"),
                distance=("a:b.jpg:5,5", points[0], "1m"),
            )
        )


def test_scale_from_gps_finds_the_unit_and_says_when_it_cannot() -> None:
    random = np.random.default_rng(0)
    centers = random.uniform(-1, 1, (12, 3))
    turn = trimesh.transformations.rotation_matrix(1.1, [0.3, 0.6, 0.9])[:3, :3]
    metres = 25 * centers @ turn.T + random.normal(0, 0.3, (12, 3))
    degree = 111_195.0
    gps = [
        [48 + n / degree, 2 + e / (degree * np.cos(np.radians(48))), 100 + u] for e, n, u in metres
    ]
    names = [f"{i}.jpg" for i in range(12)]
    cameras = {
        "images": [{"name": n, "center": list(c)} for n, c in zip(names, centers, strict=True)]
    }
    photos = {"photos": [{"name": n, "gps": g} for n, g in zip(names, gps, strict=True)]}
    assert scale_from_gps(cameras, photos).metres_per_unit == pytest.approx(25, rel=0.02)
    same = {"photos": [{"name": n, "gps": gps[0]} for n in names]}
    with pytest.raises(UsageError, match="too close"):
        scale_from_gps(cameras, same)
    with pytest.raises(UsageError, match="0 photos"):
        scale_from_gps(cameras, {"photos": []})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "120"}, "invalid --size '120'"),
        ({"size": "-3mm"}, "invalid --size '-3mm'"),
        ({"size": "120mm", "scale": "2"}, "both set the scale"),
        ({"scale": "nan"}, "--scale"),
        ({"hollow": "2mm"}, "--hollow needs --watertight"),
        ({"hollow": "2mm", "watertight": True}, "needs the scale"),
        ({"distance": ("1,2", "1,2,3", "1m")}, "invalid point '1,2'"),
        ({"distance": ("1,2,3", "1,2,3", "1m")}, "same point"),
    ],
)
def test_wrong_options_are_explained(
    model_file: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        exported(model_file, tmp_path, "stl", **options)


def test_unknown_format_is_named() -> None:
    with pytest.raises(UsageError, match="fbx"):
        parse_formats("glb,fbx")
    assert parse_formats(" .GLB, stl,glb") == ("glb", "stl")


def test_page_to_send_holds_the_lighter_model(model_file: Path, tmp_path: Path) -> None:
    export(ExportOptions(source=model_file, output=tmp_path, html=True, texture_size=16))
    page = (tmp_path / "model.html").read_text()
    assert "http-equiv" in page and "box.glb" in page
