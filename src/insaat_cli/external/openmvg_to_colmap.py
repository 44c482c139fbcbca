"""OpenMVG's scenes as COLMAP models, and back.

COLMAP's pixels count from the corner of the first one, OpenMVG's from its centre: half a pixel.
"""

from __future__ import annotations

import numpy as np

from insaat_cli.engine.colmap.camera import Camera
from insaat_cli.engine.colmap.model import Model, PlacedImage, Points, with_points
from insaat_cli.errors import StageError
from insaat_cli.external.openmvg_sfm_data import Intrinsic, Landmark, Pose, SfmData

HALF_PIXEL = 0.5


def model_of(scene: SfmData) -> Model:
    """The registered views and points of `scene` as a COLMAP model; image ids are views + 1."""
    used = {scene.views[view].intrinsic for view in scene.poses}
    pixels: dict[int, list[tuple[float, float]]] = {view: [] for view in scene.poses}
    positions, lengths, elements = [], [], []
    for point in scene.points.values():
        seen = {view: place for view, place in point.seen.items() if view in pixels}
        if len(seen) < 2:
            continue
        positions.append(point.position)
        lengths.append(len(seen))
        for view, (_, x, y) in seen.items():
            elements.append((view + 1, len(pixels[view])))
            pixels[view].append((x + HALF_PIXEL, y + HALF_PIXEL))
    track = np.array(elements, np.int64).reshape(-1, 2)
    points = Points(
        ids=np.arange(1, len(positions) + 1),
        positions=np.array(positions, np.float64).reshape(-1, 3),
        colors=np.zeros((len(positions), 3), np.uint8),
        errors=np.zeros(len(positions)),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        track_images=track[:, 0],
        track_pixels=track[:, 1],
    )
    cameras = {key + 1: _camera(key + 1, scene.intrinsics[key]) for key in sorted(used)}
    images = {view + 1: _image(scene, view, pixels[view]) for view in sorted(scene.poses)}
    return with_points(cameras, images, points).with_errors()


def scene_of(model: Model, listing: SfmData) -> SfmData:
    """`listing` with the cameras, poses and points of `model`, matched by photo names."""
    view_of = {view.name: key for key, view in listing.views.items()}
    views, poses, view_of_image = {}, {}, {}
    for image_id, image in model.images.items():
        key = view_of[image.name]
        view_of_image[image_id] = key
        old = listing.views[key]
        views[key] = type(old)(
            name=old.name, width=old.width, height=old.height, intrinsic=image.camera_id - 1
        )
        poses[key] = Pose(rotation=image.cam_from_world[:, :3], center=image.center)
    used = {view.intrinsic for view in views.values()}
    return SfmData(
        images=listing.images,
        views=dict(sorted(views.items())),
        intrinsics={key: _intrinsic(model.cameras[key + 1]) for key in sorted(used)},
        poses=poses,
        points=_landmarks(model, view_of_image),
    )


def _image(scene: SfmData, view: int, pixels: list[tuple[float, float]]) -> PlacedImage:
    pose = scene.poses[view]
    return PlacedImage(
        image_id=view + 1,
        name=scene.views[view].name,
        camera_id=scene.views[view].intrinsic + 1,
        cam_from_world=np.column_stack([pose.rotation, -pose.rotation @ pose.center]),
        pixels=np.array(pixels, np.float64).reshape(-1, 2),
        point_ids=np.full(len(pixels), -1, np.int64),
    )


def _landmarks(model: Model, view_of: dict[int, int]) -> dict[int, Landmark]:
    points = model.points
    found = {}
    for row in range(len(points)):
        seen = {}
        for image_id, pixel in zip(*(part.tolist() for part in points.track(row)), strict=True):
            x, y = (model.images[image_id].pixels[pixel] - HALF_PIXEL).tolist()
            seen[view_of[image_id]] = (pixel, x, y)
        found[int(points.ids[row])] = Landmark(position=points.positions[row], seen=seen)
    return found


def _camera(camera_id: int, camera: Intrinsic) -> Camera:
    center = [value + HALF_PIXEL for value in camera.principal_point]
    focal, k = camera.focal_px, camera.distortion
    if camera.kind == "pinhole":
        model, params = "SIMPLE_PINHOLE", [focal, *center]
    elif camera.kind == "pinhole_radial_k1":
        model, params = "SIMPLE_RADIAL", [focal, *center, k[0]]
    elif camera.kind == "fisheye":
        model, params = "OPENCV_FISHEYE", [focal, focal, *center, *k]
    else:  # three radial coefficients, and with Brown's model two tangential ones
        t1, t2 = k[3:5] if len(k) == 5 else (0.0, 0.0)
        # OpenMVG's t1 goes with r² + 2y², its t2 with r² + 2x²: OpenCV's p1 and p2.
        model = "FULL_OPENCV"
        params = [focal, focal, *center, k[0], k[1], t1, t2, k[2], 0.0, 0.0, 0.0]
    return Camera(
        camera_id=camera_id,
        model=model,
        width=camera.width,
        height=camera.height,
        params=tuple(params),
    )


def _intrinsic(camera: Camera) -> Intrinsic:
    kind, distortion = _distortion(camera)
    x, y = camera.principal_point
    return Intrinsic(
        kind=kind,
        width=camera.width,
        height=camera.height,
        focal_px=sum(camera.focal_px) / 2,
        principal_point=(x - HALF_PIXEL, y - HALF_PIXEL),
        distortion=distortion,
    )


def _distortion(camera: Camera) -> tuple[str, tuple[float, ...]]:
    k = camera.distortion
    if camera.model in ("SIMPLE_PINHOLE", "PINHOLE"):
        return "pinhole", ()
    if camera.model == "SIMPLE_RADIAL":
        return "pinhole_radial_k1", (k["k"],)
    if camera.model == "RADIAL":
        return "pinhole_radial_k3", (k["k1"], k["k2"], 0.0)
    if camera.model == "OPENCV_FISHEYE":
        return "fisheye", (k["k1"], k["k2"], k["k3"], k["k4"])
    if camera.model == "FULL_OPENCV":
        radial = (k["k1"], k["k2"], k["k3"])
        if k["p1"] == 0 and k["p2"] == 0:
            return "pinhole_radial_k3", radial
        return "pinhole_brown_t2", (*radial, k["p1"], k["p2"])
    raise StageError(f"no OpenMVG camera model corresponds to {camera.model}")
