"""Render a photo set: `python -m insaat_cli.scenes FOLDER --photos 24`."""

from __future__ import annotations

import argparse
from pathlib import Path

from insaat_cli.scenes import Subject, make_photo_set


def main() -> None:
    """Parse the options and render."""
    parser = argparse.ArgumentParser(description="Render a photo set with known truth.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--height", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--subject", type=Subject, choices=list(Subject), default=Subject.STATUE)
    parser.add_argument("--contrast", type=float, default=1.0, help="strength of the texture")
    parser.add_argument(
        "--turntable", action="store_true", help="the subject turns in front of a tripod"
    )
    options = vars(parser.parse_args())
    truth = make_photo_set(options.pop("folder"), **options)
    print(truth.images)


if __name__ == "__main__":
    main()
