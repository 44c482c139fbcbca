"""`insaat export`: what is asked for, in the right order, and what came of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from insaat_cli.engine.surface.simplification import fewer_faces
from insaat_cli.errors import InsaatError, UsageError
from insaat_cli.export.ground_plane import cut_ground
from insaat_cli.export.scale import (
    read_facts,
    scale_from_distance,
    scale_from_gps,
    scale_from_longest_side,
)
from insaat_cli.export.simplify import colored_like, fewer_textured_faces, smaller_textures
from insaat_cli.export.units import parse_length
from insaat_cli.export.watertight import SolidOptions, is_watertight, make_solid
from insaat_cli.mesh_io.formats import (
    PRINTER_FORMATS,
    MeshFormat,
    printer_shape,
    texture_name,
    write_model,
)
from insaat_cli.mesh_io.glb_writer import glb_bytes
from insaat_cli.mesh_io.model import Model, find_model, read_model, weld
from insaat_cli.viewer.page import single_file
from insaat_cli.viewer.scene import read_scene, scale_of_run
from insaat_cli.workspace.ownership import EXPORT, claim_folder
from insaat_cli.workspace.results import older_model
from insaat_cli.workspace.workspace import explain_disk

FOLDER_NAME = "export"
STEM = "model"
PAGE_NAME = f"{STEM}.html"
GPS = "gps"


class Compression(StrEnum):
    """How meshes in GLB files and pages are packed."""

    NONE = "none"
    DRACO = "draco"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to make of a result. Lengths as text with their unit."""

    source: Path
    output: Path | None = None
    overwrite: bool = False
    """Whether files may be replaced that no export made."""
    formats: tuple[MeshFormat, ...] = ()
    html: bool = False
    max_faces: int | None = None
    texture_size: int | None = None
    compress: Compression = Compression.NONE
    watertight: bool = False
    scale: str | None = None
    """Metres per model unit, or `gps`."""
    size: str | None = None
    """Of the longest side."""
    distance: tuple[str, str, str] | None = None
    """Two points and how far they are apart."""
    cut_ground: bool = False
    base: str | None = None
    hollow: str | None = None
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and what a printer wants to know of it."""

    files: tuple[Path, ...]
    faces: int
    sides: tuple[float, float, float]
    """Width, depth, height as a printer sees them (Z up); in metres where `scaled`."""
    scaled: bool
    watertight: bool
    volume: float | None
    """In cubic metres where `scaled`; only of a watertight body."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "event": "exported",
            "files": [str(path) for path in self.files],
            "faces": self.faces,
            "unit": "m" if self.scaled else "model",
            "sides": list(self.sides),
            "watertight": self.watertight,
            "volume": self.volume,
            "notes": list(self.notes),
        }


def parse_formats(text: str) -> tuple[MeshFormat, ...]:
    """`glb,stl` as formats, each once; `all` is every one. Raises UsageError."""
    names = [name.strip().lower().removeprefix(".") for name in text.split(",") if name.strip()]
    if "all" in names:
        return tuple(MeshFormat)
    unknown = [name for name in names if name not in set(MeshFormat)]
    if unknown:
        raise UsageError(
            f"invalid --format {unknown[0]!r}", hint=f"choose from {', '.join(MeshFormat)}"
        )
    return tuple(dict.fromkeys(MeshFormat(name) for name in names))


def parse_compression(text: str) -> Compression:
    """`draco` as a choice. Raises UsageError."""
    try:
        return Compression(text.strip().lower())
    except ValueError:
        raise UsageError(
            f"invalid --compress {text!r}", hint=f"choose from {', '.join(Compression)}"
        ) from None


def export(options: ExportOptions) -> Exported:
    """Read, change and write a model as asked. Raises InsaatError."""
    _check(options)
    path = find_model(options.source)
    folder = options.source if options.source.is_dir() else None
    original = read_model(path)
    older = older_model(path)
    notes: list[str] = [older] if older else []
    model = _prepared(original, options, folder, notes)
    output = options.output or _default_output(options.source)
    names = _names(options, len(model.parts))
    # What lies in DIR/export is ours; earlier versions left no marker there.
    ours = names if options.output is None and folder is not None else []
    with explain_disk(output):
        claim_folder(output, EXPORT, names, overwrite=options.overwrite, ours=ours)
        files = _written(model, output, options)
        if options.html:
            files.append(_html(original, output, options))
    return _described(model, files, options, notes)


def _names(options: ExportOptions, parts: int) -> list[str]:
    """The files that will be written."""
    names = [f"{STEM}.{kind}" for kind in options.formats]
    if MeshFormat.OBJ in options.formats:
        textures = (texture_name(Path(STEM), number) for number in range(parts))
        names += [f"{STEM}.mtl", *textures]
    return [*names, PAGE_NAME] if options.html else names


def _check(options: ExportOptions) -> None:
    given = [name for name in ("scale", "size", "distance") if getattr(options, name)]
    if len(given) > 1:
        raise UsageError(
            f"--{given[0]} and --{given[1]} both set the scale", hint="use only one of them"
        )
    if not (options.formats or options.html):
        raise UsageError("nothing to export", hint="use --format or --html")
    if options.compress is not Compression.NONE and not (
        options.html or MeshFormat.GLB in options.formats
    ):
        raise UsageError("--compress is for glb and --html", hint="add glb to --format")
    for name in ("base", "hollow"):
        if getattr(options, name) and not options.watertight:
            raise UsageError(f"--{name} needs --watertight", hint="add --watertight")


def _default_output(source: Path) -> Path:
    return source / FOLDER_NAME if source.is_dir() else source.with_name(f"{source.stem}-export")


def _prepared(model: Model, options: ExportOptions, folder: Path | None, notes: list[str]) -> Model:
    model = replace(model, metres_per_unit=_known_scale(model, options, folder, notes))
    if options.cut_ground:
        model = cut_ground(model)
    if options.size:
        model = _sized(model, options)
    if options.watertight:
        model = _solid(model, options)
        model = _sized(model, options) if options.size else model
    else:
        model = _lighter(model, options, notes)
    return model


def _known_scale(
    model: Model, options: ExportOptions, folder: Path | None, notes: list[str]
) -> float | None:
    if options.distance:
        first, second, length = options.distance
        metres = parse_length(length, "--distance")
        return scale_from_distance(model, first, second, metres, folder)
    if options.scale == GPS:
        if folder is None:
            raise UsageError("--scale gps needs the result folder")
        found = scale_from_gps(
            read_facts(folder / "cameras.json"), read_facts(folder / "photos.json")
        )
        notes.append(
            f"scale from the GPS positions of {found.photos} photos, "
            f"mean error {found.error_m:.1f} m"
        )
        return found.metres_per_unit
    if options.scale:
        try:
            factor = float(options.scale)
        except ValueError:
            factor = 0.0
        if not 0 < factor < float("inf"):
            raise UsageError(
                f"invalid --scale {options.scale!r}", hint="use metres per model unit, or gps"
            )
        return factor
    if folder is not None and not options.size:
        known = scale_of_run(folder)
        if known is not None:
            notes.append(f"scale from the run: one model unit is {known:.4g} m")
        return known
    return None


def _sized(model: Model, options: ExportOptions) -> Model:
    metres = parse_length(options.size or "", "--size")
    return replace(model, metres_per_unit=scale_from_longest_side(model, metres))


def _solid(model: Model, options: ExportOptions) -> Model:
    lengths = {name: _units(model, getattr(options, name), name) for name in ("base", "hollow")}
    vertices, faces = model.shape()
    plain = not (options.base or options.hollow)
    if plain and is_watertight(vertices, faces) and not _too_many(faces, options):
        return model
    body = make_solid(
        vertices,
        faces,
        SolidOptions(
            floor=0.0 if options.cut_ground else None,
            base=lengths["base"],
            wall=lengths["hollow"],
            max_faces=options.max_faces,
            threads=options.threads,
        ),
    )
    if not is_watertight(*weld(body.vertices, body.faces)):
        raise InsaatError(
            "the mesh could not be made watertight", hint="try it without --max-faces"
        )
    return replace(model, parts=(colored_like(body.vertices, body.faces, model),))


def _too_many(faces: Any, options: ExportOptions) -> bool:
    return options.max_faces is not None and len(faces) > options.max_faces


def _units(model: Model, text: str | None, name: str) -> float:
    if not text:
        return 0.0
    if model.metres_per_unit is None:
        raise UsageError(
            f"--{name} {text} needs the scale of the model", hint="add --size or --distance"
        )
    return parse_length(text, f"--{name}") / model.metres_per_unit


def _lighter(model: Model, options: ExportOptions, notes: list[str]) -> Model:
    if options.max_faces is not None and model.faces > options.max_faces:
        reduced = fewer_textured_faces(model, options.max_faces)
        if reduced.faces > options.max_faces:
            notes.append(
                "the texture has too many seams for so few faces, and became colors a vertex; "
                f"--max-faces {reduced.faces} would keep it"
            )
            vertices, faces = fewer_faces(
                *model.shape(), options.max_faces, threads=options.threads
            )
            shape = vertices.astype(np.float64), faces.astype(np.int64)
            reduced = replace(model, parts=(colored_like(*shape, model),))
        model = reduced
    return smaller_textures(model, options.texture_size) if options.texture_size else model


def _written(model: Model, output: Path, options: ExportOptions) -> list[Path]:
    files: list[Path] = []
    draco = options.compress is Compression.DRACO
    for kind in options.formats:
        files += write_model(model, output / f"{STEM}.{kind}", kind, draco=draco)
    return files


def _html(original: Model, output: Path, options: ExportOptions) -> Path:
    """The page shows the result where its cameras stand: neither scaled nor cut."""
    light = None
    draco = options.compress is Compression.DRACO
    if options.max_faces or options.texture_size or draco:
        light = glb_bytes(_lighter(original, options, []), draco=draco)
    path = output / PAGE_NAME
    path.write_text(single_file(read_scene(options.source), model_bytes=light), encoding="utf-8")
    return path


def _described(
    model: Model, files: list[Path], options: ExportOptions, notes: list[str]
) -> Exported:
    vertices, faces = model.shape()
    factor = model.metres_per_unit or 1.0
    low, high = model.bounds
    width, height, depth = ((high - low) * factor).tolist()
    closed = is_watertight(vertices, faces)
    printed = PRINTER_FORMATS & set(options.formats)
    if printed and not closed:
        notes.append("the mesh is not watertight; add --watertight for 3D printing")
    if printed and model.metres_per_unit is None:
        notes.append("the scale is unknown: one model unit is written as 1 mm; add --size")
    return Exported(
        files=tuple(files),
        faces=model.faces,
        sides=(width, depth, height),
        scaled=model.metres_per_unit is not None,
        watertight=closed,
        volume=_volume(model) if closed else None,
        notes=tuple(notes),
    )


def _volume(model: Model) -> float:
    """Signed volume of a closed body (divergence theorem), in the unit of the sides."""
    vertices, faces = printer_shape(model)
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    volume = float(np.einsum("fx,fx->", a, np.cross(b, c)) / 6)
    return volume * 1e-9 if model.metres_per_unit else volume
