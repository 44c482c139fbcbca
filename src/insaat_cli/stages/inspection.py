"""inspection: what the report says of photos and model. It never spoils a run: what cannot be found
out is left out."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from insaat_cli.engine.render.coverage import (
    Surface,
    coarse_surface,
    color_of,
    count_photos,
    draw_sides,
    photos_looked_through,
)
from insaat_cli.engine.render.preview import preview_directions
from insaat_cli.engine.scene.optical_axes import orbited
from insaat_cli.engine.scene.views import View
from insaat_cli.engine.surface.face_class import nearest_classes
from insaat_cli.external.verified_pairs import verified_pairs
from insaat_cli.inspection.model_advice import advise
from insaat_cli.inspection.photo_facts import (
    PhotoFacts,
    Registration,
    calibration,
    facts_of,
    source_names,
)
from insaat_cli.inspection.sparse_model import SparseFacts, plan_of, read_sparse
from insaat_cli.inspection.surface_coverage import Coverage, Gap, coverage_of, front_of, widest_gap
from insaat_cli.mesh_io.ply import read_classed_mesh
from insaat_cli.mesh_io.textured_mesh import read_glb
from insaat_cli.pipeline.stage_contract import (
    Events,
    Metrics,
    StageRequest,
    parse_options,
    run_stage,
)

COVERAGE_PICTURE = "coverage.jpg"
PLAN_PICTURE = "plan.png"
JPEG_QUALITY = 85
PHOTOS_SHARE = 0.5

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class InspectionOptions:
    """Parameters of the stage."""

    coverage_width: int = 480
    """Width of each of the four pictures of the colored model, in pixels."""


def main(request: StageRequest, events: Events) -> Metrics:
    """Entry point of the stage."""
    options = parse_options(InspectionOptions, request.params)
    cv2.setNumThreads(1)  # one photo a thread
    inputs, output = request.inputs, request.output
    cameras = json.loads((inputs["sparse"] / "cameras.json").read_text(encoding="utf-8"))["images"]
    sparse = _tried(lambda: _sparse(inputs))
    plan = None if sparse is None else _tried(lambda: _plan(sparse, cameras, output))
    photos = _tried(lambda: _photos(request, sparse, events)) or []
    seen = _tried(lambda: _coverage(request, options, cameras))
    gap = _tried(lambda: _gap(cameras, photos))
    advice = _tried(lambda: advise(photos, seen, gap)) or []
    return {
        "advice": [one.to_json() for one in advice],
        "coverage": None if seen is None else seen.to_json(),
        "gap_deg": None if gap is None else round(gap.angle_deg, 1),
        "calibration": _tried(lambda: calibration(cameras)) or [],
        "plan_reach": plan,
        "photos": {photo.name: photo.to_json() for photo in photos},
    }


def _tried(find: Callable[[], Found]) -> Found | None:
    """What `find` finds, or None and the fault in the log: a model is there all the same."""
    try:
        return find()
    except Exception:
        traceback.print_exc()
        return None


def _sparse(inputs: Mapping[str, Path]) -> SparseFacts:
    facts = read_sparse(inputs["sparse"] / "model")
    result = json.loads((inputs["sparse"] / "result.json").read_text(encoding="utf-8"))
    errors = result.get("reprojection_error_px_of", {})
    names = source_names(inputs["resize"])
    registered = {
        name: replace(one, error_px=float(errors.get(names.get(name), one.error_px)))
        for name, one in facts.registered.items()
    }
    return replace(facts, registered=registered)


def _plan(sparse: SparseFacts, cameras: list[Mapping[str, Any]], output: Path) -> float:
    plan = plan_of(sparse, _poses(cameras)[0])
    Image.fromarray(plan.pixels).quantize(128, method=Image.Quantize.FASTOCTREE).save(
        output / PLAN_PICTURE
    )
    return round(plan.reach, 6)


def _photos(request: StageRequest, sparse: SparseFacts | None, events: Events) -> list[PhotoFacts]:
    inputs = request.inputs
    pairs = verified_pairs(inputs["matching"], inputs.get("listing"))
    registered: Mapping[str, Registration] = {} if sparse is None else sparse.registered
    return facts_of(
        inputs["resize"],
        pairs or ({} if sparse is None else sparse.shared),
        registered,
        threads=request.threads,
        progress=lambda share: events.progress(PHOTOS_SHARE * share),
    )


def _coverage(
    request: StageRequest, options: InspectionOptions, cameras: list[Mapping[str, Any]]
) -> Coverage:
    mesh = read_glb(request.inputs["texture"] / "model.glb", with_texture=False)
    centers, forwards = _poses(cameras)
    focus = orbited(centers, forwards)
    surface = coarse_surface(mesh.vertices, mesh.faces, focus=focus)
    views = photos_looked_through([_view(camera) for camera in cameras], len(surface.faces))
    counts = count_photos(surface, views, threads=request.threads)
    picture = draw_sides(
        surface,
        color_of(counts, _classes(request, surface)),
        preview_directions(centers),
        options.coverage_width,
        round(options.coverage_width * 0.75),
        focus=focus,
        threads=request.threads,
    )
    Image.fromarray(picture).save(
        request.output / COVERAGE_PICTURE, quality=JPEG_QUALITY, optimize=True
    )
    return coverage_of(surface, counts, front=front_of(centers), photos=len(views), focus=focus)


def _classes(request: StageRequest, surface: Surface) -> NDArray[np.uint8] | None:
    """(F,) where each face comes from; None where the surface is another program's."""
    mesh = request.inputs.get("surface", Path()) / "mesh.ply"
    if not mesh.is_file():
        return None
    vertices, faces, classes = read_classed_mesh(mesh)
    if classes is None or not len(faces):
        return None
    return nearest_classes(surface.middles.astype(np.float32), (vertices, faces, classes))


def _gap(cameras: list[Mapping[str, Any]], photos: list[PhotoFacts]) -> Gap | None:
    """Only of photos that go around something; cameras and registered photos must be the same."""
    registered = {
        photo.name: i for i, photo in enumerate(p for p in photos if p.registered is not None)
    }
    ordered = sorted(
        (camera for camera in cameras if camera["name"] in registered),
        key=lambda camera: registered[camera["name"]],
    )
    centers, forwards = _poses(ordered)
    focus = orbited(centers, forwards)
    if focus is None or len(ordered) != len(registered):
        return None
    return widest_gap(centers, focus.centre, front_of(centers))


def _poses(
    cameras: list[Mapping[str, Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and viewing directions, (N, 3) each."""
    centers = np.array([camera["center"] for camera in cameras], float).reshape(-1, 3)
    poses = np.array([camera["cam_from_world"] for camera in cameras], float).reshape(-1, 3, 4)
    return centers, poses[:, 2, :3]


def _view(camera: Mapping[str, Any]) -> View:
    """As a pinhole: at this scale lens distortion decides nothing."""
    K = np.array(camera["K"], float)
    K[:2, 2] -= 0.5
    return View(
        name=str(camera["name"]),
        width=int(camera["width"]),
        height=int(camera["height"]),
        K=K,
        cam_from_world=np.array(camera["cam_from_world"], float),
    )


if __name__ == "__main__":
    sys.exit(run_stage(main))
