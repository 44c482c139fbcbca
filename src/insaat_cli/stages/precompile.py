"""Not a stage: compiles what later stages need, while earlier ones run, once after installation.

    python -m insaat_cli.stages.precompile FOLDER

It takes a tiny made-up photo set through those stages in FOLDER, so that what is compiled is
exactly what they call; numba keeps it. Then a marker beside the cache says so. Whatever goes wrong
is only said in the log: the stages compile for themselves.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt

import insaat_cli
from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.model import Model, PlacedImage, Points
from insaat_cli.engine.colmap.model_files import write_model
from insaat_cli.machine.numba_cache import Cache
from insaat_cli.pipeline.stage_contract import Events, Metrics, StageRequest
from insaat_cli.stages import complete, dense, export, fuse, surface, texture

WIDTH, HEIGHT, FOCAL_PX = 192, 144, 200.0
CENTERS = [(-0.5, 0.0), (0.0, 0.3), (0.5, 0.0), (0.0, -0.3)]
DISTANCE = 3.0
SHEETS = ((0.0, 2.5), (-0.6, 0.5))
"""Depth and half the side of two upright textured sheets: with an edge in front of a background
every stage has something to decide."""
TEXELS = 256
POINTS_A_SHEET = 60
POLITENESS = 5
"""Nice, but not so much that nothing gets done beside stages that use every core."""
Main = Callable[[StageRequest, Events], Metrics]


def noise(seed: int) -> npt.NDArray[np.uint8]:
    """(TEXELS, TEXELS, 3) with detail that survives being photographed."""
    values = np.random.default_rng(seed).normal(size=(TEXELS, TEXELS, 3)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(values, (0, 0), 1.2), np.float32)
    return np.asarray(np.clip(128 + 50 * smooth / smooth.std(), 0, 255), np.uint8)


def photograph(x: float, y: float, sheets: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3): what a camera at (x, y, -DISTANCE) that looks along z sees."""
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for (z, half), sheet in zip(SHEETS, sheets, strict=True):
        scale = FOCAL_PX / (z + DISTANCE)
        size = 2 * half * scale / TEXELS
        corner = scale * np.array([-half - x, -half - y]) + [WIDTH / 2, HEIGHT / 2] - 0.5
        place = np.array([[size, 0, corner[0]], [0, size, corner[1]]])
        cv2.warpAffine(sheet, place, (WIDTH, HEIGHT), dst=photo, borderMode=cv2.BORDER_TRANSPARENT)
    return photo


def tiny_model() -> Model:
    """Cameras and points of the sheets; every camera saw every point."""
    generator = np.random.default_rng(1)
    places = np.concatenate(
        [
            np.column_stack(
                [
                    generator.uniform(-min(half, 1), min(half, 1), (POINTS_A_SHEET, 2)),
                    np.full(POINTS_A_SHEET, z),
                ]
            )
            for z, half in SHEETS
        ]
    )
    count = len(places)
    camera = Camera(
        camera_id=1,
        model="PINHOLE",
        width=WIDTH,
        height=HEIGHT,
        params=(FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2),
    )
    images = {
        number: PlacedImage(
            image_id=number,
            name=f"{number}.jpg",
            camera_id=1,
            cam_from_world=np.column_stack([np.eye(3), [-x, -y, DISTANCE]]),
            pixels=FOCAL_PX * (places[:, :2] - [x, y]) / (places[:, 2:] + DISTANCE)
            + [WIDTH / 2, HEIGHT / 2],
            point_ids=np.arange(count),
        )
        for number, (x, y) in enumerate(CENTERS, 1)
    }
    points = Points(
        ids=np.arange(count),
        positions=places,
        colors=np.full((count, 3), 128, np.uint8),
        errors=np.zeros(count),
        starts=np.arange(count + 1) * len(CENTERS),
        track_images=np.tile(np.arange(1, len(CENTERS) + 1), count),
        track_pixels=np.repeat(np.arange(count), len(CENTERS)),
    )
    return Model(cameras={1: camera}, images=images, points=points)


def write_tiny_set(folder: Path) -> dict[str, Path]:
    """What the stages before `dense` would have left, in folders by stage name."""
    undistorted, sparse = folder / "undistort", folder / "sparse"
    for made in (undistorted / "images", undistorted / "model", sparse):
        made.mkdir(parents=True)
    sheets = [noise(seed) for seed in range(len(SHEETS))]
    model = tiny_model()
    cameras = []
    for image, (x, y) in zip(model.images.values(), CENTERS, strict=True):
        cv2.imwrite(str(undistorted / "images" / image.name), photograph(x, y, sheets))
        pose = image.cam_from_world.tolist()
        cameras.append(
            {"name": image.name, "center": image.center.tolist(), "cam_from_world": pose}
        )
    write_model(model, undistorted / "model")
    text = json.dumps({"images": cameras})
    (sparse / "cameras.json").write_text(text, encoding="utf-8")
    return {"undistort": undistorted, "sparse": sparse}


def run_through(folder: Path, stages: Mapping[str, Main]) -> None:
    """Take the tiny set through `stages`, each of which finds what the others left."""
    inputs = write_tiny_set(folder)
    with Path(os.devnull).open("w", encoding="utf-8") as nobody:
        for name, main in stages.items():
            inputs[name] = folder / name
            inputs[name].mkdir()
            request = StageRequest(
                stage=name,
                params={"stereo": "own"} if name == "dense" else {},
                inputs=inputs,
                photos=folder / "photos.json",
                output=inputs[name],
                threads=1,
                memory_bytes=0,
            )
            main(request, Events(nobody))


def compiled_stages() -> dict[str, Main]:
    """The stages with code that is compiled, in their order."""
    modules: dict[str, ModuleType] = {
        "dense": dense,
        "complete": complete,
        "fuse": fuse,
        "surface": surface,
        "texture": texture,
        "export": export,
    }
    return {name: module.main for name, module in modules.items()}


def main(arguments: list[str]) -> int:
    os.nice(POLITENESS)
    cache = Cache.found(os.environ, Path(insaat_cli.__file__).parent)
    try:
        run_through(Path(arguments[0]), compiled_stages())
    except Exception:
        traceback.print_exc()
        return 0
    cache.mark()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
