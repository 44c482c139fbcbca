"""The option names that the real programs know, from their own usage texts.

OpenMVS 2.3.0 built without CUDA, and OpenMVG 2.1.
"""

from __future__ import annotations

GENERIC = {"help", "working-folder", "config-file", "archive-type", "process-priority",
           "max-threads", "verbosity"}  # fmt: skip
CUDA = {"cuda-device"}
"""Builds with CUDA only."""
SHORT = {"-h": "help", "-w": "working-folder", "-c": "config-file", "-v": "verbosity",
         "-i": "input-file", "-o": "output-file", "-p": "pointcloud-file", "-m": "mesh-file",
         "-d": "min-point-distance", "-f": "free-space-support"}  # fmt: skip
OPENMVS = {
    "InterfaceCOLMAP": {"input-file", "pointcloud-file", "output-file", "image-folder",
                        "normalize", "force-points"},
    "DensifyPointCloud": {
        "input-file", "pointcloud-file", "output-file", "view-neighbors-file",
        "output-view-neighbors-file", "resolution-level", "max-resolution", "min-resolution",
        "sub-resolution-levels", "number-views", "number-views-fuse", "ignore-mask-label",
        "mask-path", "iters", "geometric-iters", "estimate-colors", "estimate-normals",
        "estimate-scale", "sub-scene-area", "sample-mesh", "fusion-mode", "postprocess-dmaps",
        "filter-point-cloud", "export-number-views", "roi-border", "estimate-roi", "crop-to-roi",
        "remove-dmaps", "tower-mode"},
    "ReconstructMesh": {
        "export-type", "input-file", "pointcloud-file", "output-file", "min-point-distance",
        "integrate-only-roi", "constant-weight", "free-space-support", "thickness-factor",
        "quality-factor", "decimate", "target-face-num", "remove-spurious", "remove-spikes",
        "close-holes", "smooth", "edge-length", "roi-border", "crop-to-roi"},
    "RefineMesh": {
        "export-type", "input-file", "mesh-file", "output-file", "resolution-level",
        "min-resolution", "max-views", "decimate", "close-holes", "ensure-edge-size",
        "max-face-area", "scales", "scale-step", "alternate-pair", "regularity-weight",
        "rigidity-elasticity-ratio", "gradient-step", "planar-vertex-ratio", "reduce-memory"},
    "TextureMesh": {
        "export-type", "input-file", "mesh-file", "output-file", "decimate", "close-holes",
        "resolution-level", "min-resolution", "outlier-threshold", "cost-smoothness-ratio",
        "virtual-face-images", "global-seam-leveling", "local-seam-leveling",
        "texture-size-multiple", "patch-packing-heuristic", "empty-color", "sharpness-weight",
        "orthographic-image-resolution", "ignore-mask-label", "max-texture-size"},
}  # fmt: skip
OPENMVG = {
    "SfMInit_ImageListing": {"-i", "-d", "-o", "-f", "-k", "-c", "-g", "-P", "-W", "-m"},
    "ComputeFeatures": {"-i", "-o", "-f", "-m", "-u", "-p", "-n"},
    "PairGenerator": {"-i", "-o", "-m", "-c"},
    "ComputeMatches": {"-i", "-o", "-p", "-f", "-r", "-n", "-c", "-P"},
    "GeometricFilter": {"-i", "-m", "-o", "-p", "-s", "-f", "-g", "-r", "-c"},
    "SfM": {"-i", "-m", "-o", "-s", "-M", "-f", "-e", "-P", "-a", "-b", "-c", "-S",
            "--triangulation_method", "--resection_method"},
    "ConvertSfM_DataFormat": {"-i", "-o", "-V", "-I", "-E", "-S", "-C"},
    "openMVG2openMVS": {"-i", "-o", "-d", "-n"},
}  # fmt: skip
FLAGS = {"-V", "-I", "-E", "-S", "-C"}
"""Of ConvertSfM_DataFormat: they take no value."""
