"""What can be said of the photos of a run that failed before it came to look at its result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_PHOTOS = 300
"""A failed run shall not go on for long."""
THREADS = 2


def inspected_photos(workspace: Path) -> Mapping[str, Any]:
    """Sharpness, exposure and matches as far as the stages came; {} if they did not."""
    stages = workspace / "stages"
    images = stages / "resize" / "images"
    if not images.is_dir() or sum(1 for _ in images.iterdir()) > MAX_PHOTOS:
        return {}
    # Slow to load, and only needed here.
    from insaat_cli.external.verified_pairs import verified_pairs
    from insaat_cli.inspection.model_advice import advise
    from insaat_cli.inspection.photo_facts import facts_of

    pairs = verified_pairs(stages / "matching", stages / "listing")
    try:
        photos = facts_of(stages / "resize", pairs, {}, threads=THREADS)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {
        "photos": {photo.name: photo.to_json() for photo in photos},
        "advice": [one.to_json() for one in advise(photos)],
    }
