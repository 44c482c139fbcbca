"""insaat: photographs to a textured 3D model, on the command line."""

__version__ = "0.1.0"
