"""Accuracy of a finished reconstruction by the project's shared, independent scorer.

`evalmodel.py` of the shared data works on Open3D, which is only in the `bench` extra; it runs in a
process of its own, so that its memory and its threads stay out of our figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SHARED = Path(__file__).resolve().parents[2] / "shared"
SCORER = SHARED / "eval" / "evalmodel.py"

# Open3D's wheel needs libusb, which a bare system lacks; the package brings one.
LAUNCHER = """
import runpy, sys
try:
    import ctypes, libusb_package
    path = libusb_package.get_library_path()
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
except ImportError:
    pass
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def evaluate(
    workspace: Path, truth: Path, images: Path | None, *, ground: float | None = None
) -> dict[str, Any]:
    """Figures of evalmodel.py for the model in `workspace`.

    `truth` is a folder with cameras.json and perhaps object.ply; `images` holds photos without
    distortion. What lies lower than `ground`, a share of the subject's extent, does not count: -1
    for a room, whose floor does; None leaves it to the scorer. Raises RuntimeError with the
    scorer's last line if it fails.
    """
    if not SCORER.is_file():
        raise RuntimeError(f"{SCORER} is not there")
    cameras = json.loads((workspace / "cameras.json").read_text(encoding="utf-8"))
    centres = workspace / "centres.json"
    centres.write_text(
        json.dumps({image["name"]: image["center"] for image in cameras["images"]}),
        encoding="utf-8",
    )
    command = [sys.executable, "-c", LAUNCHER, str(SCORER)]
    command += ["--model", str(workspace / "model.glb"), "--cameras", str(centres)]
    command += ["--gt", str(truth)] + (["--images", str(images)] if images else [])
    command += [] if ground is None else ["--ground", str(ground)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(f"evalmodel.py failed: {reason[-1]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def straightened(truth: Path, into: Path) -> Path:
    """The photos of a rendered set without lens distortion, for the comparison of colors."""
    into.mkdir(parents=True, exist_ok=True)
    for camera in json.loads((truth / "cameras.json").read_text(encoding="utf-8")):
        image = cv2.imread(str(truth / "images" / camera["name"]))
        # OpenCV counts pixels from the centre of the first one, the truth from its corner.
        K = np.array(
            [
                [camera["fx"], 0, camera["cx"] - 0.5],
                [0, camera["fy"], camera["cy"] - 0.5],
                [0, 0, 1],
            ]
        )
        bend = np.array([camera["distortion"]["params"]["k1"], 0, 0, 0], dtype=float)
        straight = cv2.undistort(image, K, bend)
        cv2.imwrite(str(into / camera["name"]), straight, [cv2.IMWRITE_JPEG_QUALITY, 97])
    return into
