"""Stands in for every program of OpenMVG and OpenMVS: same options, outputs, exits and crashes.

FAKE_MVS_NAME says which of them it is. What it does wrong is told by JSON in the file
named in FAKE_MVS_PLAN: {"DensifyPointCloud": [{"signal": 11}, {}]}, one entry a call; calls past
the last entry go well. Each call is written down beside that file, in calls.txt. Cameras stand in
a ring around points on a ball, whatever the photos show.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.fakes.mvs_files import write_depth_map, write_scene, write_seen_cloud
from tests.fakes.mvs_options import CUDA, FLAGS, GENERIC, OPENMVG, OPENMVS, SHORT

POINTS = 300
PREFIX = "openMVG_main_"


def main() -> int:
    program = os.environ["FAKE_MVS_NAME"].removeprefix(PREFIX)
    if "--help" in sys.argv:
        print("00:00:00 [App     ] OpenMVS x64 v" + os.environ.get("FAKE_MVS_VERSION", "2.3.0"))
        return 0
    arguments = openmvg_arguments(program) if program in OPENMVG else openmvs_arguments(program)
    step = next_step(program)
    misbehave(step)
    print(f"00:00:00 [App     ] {program} works", flush=True)
    ACTIONS[program](arguments, step)
    return 0


def next_step(program: str) -> dict:
    plan_path = Path(os.environ["FAKE_MVS_PLAN"])
    calls = plan_path.with_name("calls.txt")
    done = calls.read_text().splitlines() if calls.exists() else []
    with calls.open("a") as file:
        file.write(json.dumps([program, *sys.argv[1:]]) + "\n")
    number = sum(1 for line in done if json.loads(line)[0] == program)
    steps = json.loads(plan_path.read_text()).get(program, [])
    return steps[number] if number < len(steps) else {}


def misbehave(step: dict) -> None:
    if "print" in step:
        print(step["print"], flush=True)
    time.sleep(step.get("sleep", 0))
    if "signal" in step:
        signal.signal(step["signal"], signal.SIG_DFL) if step["signal"] != 9 else None
        os.kill(os.getpid(), step["signal"])
    if "exit" in step:
        sys.exit(step["exit"])


def openmvg_arguments(program: str) -> dict[str, str]:
    found, rest = {}, sys.argv[1:]
    while rest:
        name = rest.pop(0)
        if name not in OPENMVG[program]:
            print(f"ERROR: Invalid command line parameter {name}.")
            sys.exit(1)
        flag = program == "ConvertSfM_DataFormat" and name in FLAGS
        found[name] = "" if flag else rest.pop(0)
    return found


def openmvs_arguments(program: str) -> dict[str, str]:
    found, rest = {}, sys.argv[1:]
    known = OPENMVS[program] | GENERIC | (CUDA if "FAKE_MVS_CUDA" in os.environ else set())
    while rest:
        name, value = rest.pop(0), rest.pop(0)
        long = SHORT.get(name, name.removeprefix("--"))
        if long not in known:
            print(f"unrecognised option '{name}'")
            sys.exit(1)
        found[long] = value
    return found


# OpenMVG


def list_images(arguments: dict[str, str], step: dict) -> None:
    from PIL import Image

    names = sorted(path.name for path in Path(arguments["-i"]).iterdir())
    views = []
    for key, name in enumerate(names):
        width, height = Image.open(Path(arguments["-i"]) / name).size
        data = {"local_path": "", "filename": name, "width": width, "height": height,
                "id_view": key, "id_intrinsic": 0, "id_pose": key}  # fmt: skip
        wrapper = {"id": 0x80000001 + key, "data": data}
        value = {"polymorphic_id": 0x40000000, "ptr_wrapper": wrapper}
        views.append({"key": key, "value": value})
    data = {"width": width, "height": height, "focal_length": float(arguments["-f"]),
            "principal_point": [width / 2, height / 2], "disto_k3": [0.0, 0.0, 0.0]}  # fmt: skip
    wrapper = {"id": 0x80000001 + len(names), "data": data}
    camera = {"polymorphic_id": 0x80000001, "polymorphic_name": "pinhole_radial_k3",
              "ptr_wrapper": wrapper}  # fmt: skip
    scene = {"sfm_data_version": "0.3", "root_path": arguments["-i"], "views": views,
             "intrinsics": [{"key": 0, "value": camera}], "extrinsics": [], "structure": [],
             "control_points": []}  # fmt: skip
    write_json(Path(arguments["-o"]) / "sfm_data.json", scene)


def compute_features(arguments: dict[str, str], step: dict) -> None:
    folder = Path(arguments["-o"])
    folder.mkdir(exist_ok=True)
    (folder / "image_describer.json").write_text(json.dumps({"preset": arguments["-p"]}))
    for view in read_json(arguments["-i"])["views"]:
        name = Path(view["value"]["ptr_wrapper"]["data"]["filename"]).stem
        (folder / f"{name}.feat").write_text("1 2 3 4\n" * step.get("features", POINTS))
        (folder / f"{name}.desc").write_bytes(b"0")
    print("INFO: [loggerprogress.hpp:79] [- EXTRACT FEATURES -] 100%")


def generate_pairs(arguments: dict[str, str], step: dict) -> None:
    Path(arguments["-o"]).write_text(arguments["-m"])


def match(arguments: dict[str, str], step: dict) -> None:
    views = len(read_json(arguments["-i"])["views"])
    write_matches(Path(arguments["-o"]), views, POINTS if step.get("matches", True) else 0)
    print("INFO: [loggerprogress.hpp:79] [- Matching -] 100%")


def place(arguments: dict[str, str], step: dict) -> None:
    scene = read_json(arguments["-i"])
    folder = Path(arguments["-o"])
    folder.mkdir(exist_ok=True)
    cameras = {c["key"]: c["value"]["ptr_wrapper"]["data"] for c in scene["intrinsics"]}
    views = [view["value"]["ptr_wrapper"]["data"] for view in scene["views"]]
    registered = views[: step.get("registered", len(views))]
    ball = points_on_ball()
    noise = np.random.default_rng(2).normal(0, step.get("noise_px", 0.1), (len(views), POINTS, 2))
    seen = {index: [] for index in range(POINTS)}
    for view in registered:
        rotation, center = pose(view["id_view"], len(views))
        camera = cameras[view["id_intrinsic"]]
        in_camera = (ball - center) @ rotation.T
        pixels = in_camera[:, :2] / in_camera[:, 2:] * camera["focal_length"]
        pixels += np.array(camera["principal_point"]) + noise[view["id_view"]]
        for index in range(POINTS):
            value = {"id_feat": index, "x": pixels[index].tolist()}
            seen[index].append({"key": view["id_view"], "value": value})
        value = {"rotation": rotation.tolist(), "center": center.tolist()}
        scene["extrinsics"].append({"key": view["id_view"], "value": value})
    if len(registered) >= 2:
        for index in range(step.get("points", POINTS)):
            value = {"X": ball[index].tolist(), "observations": seen[index]}
            scene["structure"].append({"key": index, "value": value})
    write_json(folder / "sfm_data.bin", scene)


def convert(arguments: dict[str, str], step: dict) -> None:
    write_json(Path(arguments["-o"]), read_json(arguments["-i"]))


def hand_over(arguments: dict[str, str], step: dict) -> None:
    scene = read_json(arguments["-i"])
    folder = Path(arguments["-d"])
    folder.mkdir(exist_ok=True)
    for view in scene["views"]:
        name = view["value"]["ptr_wrapper"]["data"]["filename"]
        (folder / name).write_bytes((Path(scene["root_path"]) / name).read_bytes())
    Path(arguments["-o"]).write_text("scene")


def points_on_ball() -> np.ndarray:
    points = np.random.default_rng(1).normal(size=(POINTS, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def pose(index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A camera on a ring of radius 4 that looks at the middle; image rows level, y down."""
    angle = 1.5 * np.pi * index / count
    center = np.array([4 * np.sin(angle), -1.0, 4 * np.cos(angle)])
    forward = -center / np.linalg.norm(center)
    right = np.cross(np.array([0.0, 1.0, 0.0]), forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward]), center


def write_matches(path: Path, views: int, count: int) -> None:
    pairs = [(i, j) for i in range(views) for j in range(i + 1, views)] if count else []
    data = b"\x01" + struct.pack("<Q", len(pairs))
    row = np.repeat(np.arange(count, dtype="<u4"), 2).tobytes()
    for first, second in pairs:
        data += struct.pack("<IIQ", first, second, count) + row
    path.write_bytes(data)


# OpenMVS


def densify(arguments: dict[str, str], step: dict) -> None:
    assert (Path("images")).is_dir(), "no photos below the working folder"
    assert Path(arguments["input-file"]).exists()
    photos = len(list(Path("images").iterdir()))
    if float(arguments["sub-scene-area"]) > 0:
        split(photos, step.get("parts", 2))
        return
    for done in (1, 2):
        print(f"Estimated depth-maps {done} ({50.0 * done:.2f}%, 1s, ETA 1s)...", end="\r")
    for index in range(photos):
        write_depth_map(Path(f"depth{index:04}.dmap"), 300.0, np.full((24, 32), 2.0))
    if step.get("nothing"):
        return
    output = Path(arguments["output-file"])
    output.write_text("dense")
    count = step.get("cloud", 2000)
    generator = np.random.default_rng(3)
    points = generator.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    if arguments["fusion-mode"] == "1":  # the sparse points are what there is
        count = 5
    views = [range(2 + index % 3) for index in range(count)]
    write_seen_cloud(output.with_suffix(".ply"), points[:count], views)


def split(photos: int, parts: int) -> None:
    """Boxes side by side, with four photos each."""
    assert len(list(Path().glob("*.dmap"))) == photos, "it would crash without depth maps"
    for number in range(parts):
        box = ((-2.0 + number, -2.0, -2.0), (-1.0 + number, 2.0, 2.0))
        write_scene(Path(f"scene_{number:04}.mvs"), [(number + i) % photos for i in range(4)], box)


def reconstruct(arguments: dict[str, str], step: dict) -> None:
    assert Path(arguments["pointcloud-file"]).exists()
    side = step.get("side", 12)
    write_grid(Path(arguments["output-file"]), side)


def refine(arguments: dict[str, str], step: dict) -> None:
    data = Path(arguments["mesh-file"]).read_bytes()
    Path(arguments["output-file"]).write_bytes(data)


def paint(arguments: dict[str, str], step: dict) -> None:
    from PIL import Image

    assert arguments["export-type"] == "glb", "the OBJ export crashes"
    side = step.get("side", 12)
    vertices, faces = grid(side)
    uv = (vertices[:, :2] * 0.8 + 0.1).astype("<f4")
    if step.get("unseen"):
        uv[:] = 0.5
    parts = [vertices.astype("<f4").tobytes(), faces.astype("<u4").tobytes(), uv.tobytes()]
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    header = {
        "asset": {"version": "2.0"},
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(vertices), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": faces.size, "type": "SCALAR"},
            {"bufferView": 2, "componentType": 5126, "count": len(vertices), "type": "VEC2"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": starts[i], "byteLength": len(parts[i])} for i in range(3)
        ],
        "images": [{"uri": "painted_0.png"}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 2},
                                    "indices": 1, "material": 0}]}],
    }  # fmt: skip
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(parts)
    output = Path(arguments["output-file"])
    output.write_bytes(
        struct.pack("<IIIII", 0x46546C67, 2, 28 + len(text) + len(binary), len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(binary), 0x004E4942)
        + binary
    )
    colors = np.zeros((64, 64, 3), np.uint8)
    colors[:32] = (255, 0, 0)
    colors[32:] = (0, 0, 255)
    Image.fromarray(colors).save(output.with_name("painted_0.png"))


def import_colmap(arguments: dict[str, str], step: dict) -> None:
    folder = Path(arguments["input-file"]) / "sparse"
    for name in ("cameras.txt", "images.txt", "points3D.txt"):
        assert (folder / name).exists(), f"no {name}"
    assert Path(arguments["image-folder"]).is_dir()
    Path(arguments["output-file"]).write_text("scene")


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0:side, 0:side]
    x, y = columns.ravel() / max(side - 1, 1), rows.ravel() / max(side - 1, 1)
    corner = (rows[:-1, :-1] * side + columns[:-1, :-1]).ravel()
    one = np.stack([corner, corner + 1, corner + side], axis=1)
    other = np.stack([corner + 1, corner + side + 1, corner + side], axis=1)
    return np.stack([x, y, 0.1 * x * y], axis=1), np.concatenate([one, other])


def write_grid(path: Path, side: int) -> None:
    vertices, faces = grid(side)
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}",
              *(f"property float32 {name}" for name in "xyz"), f"element face {len(faces)}",
              "property list uint8 uint32 vertex_indices", "end_header", ""]  # fmt: skip
    rows = b"".join(struct.pack("<B3I", 3, *face) for face in faces.tolist())
    path.write_bytes("\n".join(header).encode() + vertices.astype("<f4").tobytes() + rows)


def read_json(path: str) -> dict:
    return json.loads(Path(path).read_text())


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value))


ACTIONS = {
    "SfMInit_ImageListing": list_images,
    "ComputeFeatures": compute_features,
    "PairGenerator": generate_pairs,
    "ComputeMatches": match,
    "GeometricFilter": match,
    "SfM": place,
    "ConvertSfM_DataFormat": convert,
    "openMVG2openMVS": hand_over,
    "InterfaceCOLMAP": import_colmap,
    "DensifyPointCloud": densify,
    "ReconstructMesh": reconstruct,
    "RefineMesh": refine,
    "TextureMesh": paint,
}

if __name__ == "__main__":
    sys.exit(main())
