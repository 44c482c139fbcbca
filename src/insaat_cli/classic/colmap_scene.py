"""OpenMVG's scenes as COLMAP models, and back.

COLMAP's pixels count from the corner of the first one, OpenMVG's from its centre: half a pixel.
"""

from __future__ import annotations

import numpy as np
import pycolmap

from insaat_cli.classic.sfm_data import Array, Intrinsic, Landmark, Pose, SfmData
from insaat_cli.errors import StageError

HALF_PIXEL = 0.5


def model_of(scene: SfmData) -> pycolmap.Reconstruction:
    """The registered views and points of `scene` as a COLMAP model; image ids are views + 1."""
    model = pycolmap.Reconstruction()
    used = {scene.views[view].intrinsic for view in scene.poses}
    for key in sorted(used):
        model.add_camera_with_trivial_rig(_camera(key + 1, scene.intrinsics[key]))
    pixels: dict[int, list[tuple[float, float]]] = {view: [] for view in scene.poses}
    tracks = []
    for point in scene.points.values():
        track = pycolmap.Track()
        for view, (_, x, y) in point.seen.items():
            if view in pixels:
                track.add_element(view + 1, len(pixels[view]))
                pixels[view].append((x + HALF_PIXEL, y + HALF_PIXEL))
        if track.length() >= 2:
            tracks.append((point.position, track))
    for view in sorted(scene.poses):
        pose = scene.poses[view]
        keypoints = np.array(pixels[view], float).reshape(-1, 2)
        image = pycolmap.Image(
            name=scene.views[view].name,
            keypoints=keypoints,
            camera_id=scene.views[view].intrinsic + 1,
            image_id=view + 1,
        )
        rigid = pycolmap.Rigid3d(pycolmap.Rotation3d(pose.rotation), -pose.rotation @ pose.center)
        model.add_image_with_trivial_frame(image, rigid)
    for position, track in tracks:
        model.add_point3D(position, track, np.zeros(3, np.uint8))
    model.update_point_3d_errors()
    return model


def scene_of(model: pycolmap.Reconstruction, listing: SfmData) -> SfmData:
    """`listing` with the cameras, poses and points of `model`, matched by photo names."""
    view_of = {view.name: key for key, view in listing.views.items()}
    intrinsics = {camera.camera_id - 1: _intrinsic(camera) for camera in model.cameras.values()}
    views = dict(listing.views)
    poses = {}
    view_of_image = {}
    for image_id in sorted(model.reg_image_ids()):
        image = model.image(image_id)
        key = view_of[image.name]
        view_of_image[image_id] = key
        old = views[key]
        views[key] = type(old)(
            name=old.name, width=old.width, height=old.height, intrinsic=image.camera_id - 1
        )
        rotation = np.array(image.cam_from_world().rotation.matrix())
        poses[key] = Pose(rotation=rotation, center=np.array(image.projection_center()))
    used = {views[key].intrinsic for key in poses}
    kept = {key: intrinsics[key] for key in sorted(used)}
    return SfmData(
        images=listing.images,
        views={key: view for key, view in views.items() if key in poses},
        intrinsics=kept,
        poses=poses,
        points=_points(model, view_of_image),
    )


def _points(model: pycolmap.Reconstruction, view_of: dict[int, int]) -> dict[int, Landmark]:
    points = {}
    for point_id, point in model.points3D.items():
        seen = {}
        for element in point.track.elements:
            x, y = model.image(element.image_id).points2D[element.point2D_idx].xy
            place = (element.point2D_idx, float(x) - HALF_PIXEL, float(y) - HALF_PIXEL)
            seen[view_of[element.image_id]] = place
        points[int(point_id)] = Landmark(position=np.array(point.xyz), seen=seen)
    return points


def _camera(camera_id: int, camera: Intrinsic) -> pycolmap.Camera:
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
    return pycolmap.Camera(
        camera_id=camera_id, model=model, width=camera.width, height=camera.height, params=params
    )


def _intrinsic(camera: pycolmap.Camera) -> Intrinsic:
    params = np.asarray(camera.params, float)
    kind, distortion = _distortion(camera.model.name, params)
    focal = float(np.mean([camera.focal_length_x, camera.focal_length_y]))
    return Intrinsic(
        kind=kind,
        width=int(camera.width),
        height=int(camera.height),
        focal_px=focal,
        principal_point=(
            float(camera.principal_point_x) - HALF_PIXEL,
            float(camera.principal_point_y) - HALF_PIXEL,
        ),
        distortion=tuple(float(value) for value in distortion),
    )


def _distortion(model: str, params: Array) -> tuple[str, Array]:
    if model in ("SIMPLE_PINHOLE", "PINHOLE"):
        return "pinhole", params[:0]
    if model == "SIMPLE_RADIAL":
        return "pinhole_radial_k1", params[3:4]
    if model == "RADIAL":
        return "pinhole_radial_k3", np.array([*params[3:5], 0.0])
    if model == "OPENCV_FISHEYE":
        return "fisheye", params[4:8]
    if model == "FULL_OPENCV":
        k1, k2, p1, p2, k3 = params[4:9]
        if p1 == 0 and p2 == 0:
            return "pinhole_radial_k3", np.array([k1, k2, k3])
        return "pinhole_brown_t2", np.array([k1, k2, k3, p1, p2])
    raise StageError(f"OpenMVG has no camera model like {model}")
