"""Algorithms on arrays: cameras, stereo, fusion, surface, texture. No run, no process."""

# pycolmap's wheel puts its own zlib before everyone's: whatever is loaded after it and deflates
# (Python's zlib, PNG files of Pillow and OpenCV) corrupts the heap. What is loaded before is safe,
# so these come first in every process.
import zlib

import cv2
import PIL._imaging

__all__ = ["PIL", "cv2", "zlib"]
