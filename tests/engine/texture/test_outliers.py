import numpy as np

from insaat_cli.engine.texture.candidates import Candidates
from insaat_cli.engine.texture.outliers import reject_outliers


def _candidates(colors: list[list[int]]) -> Candidates:
    candidates = Candidates.empty(1)
    candidates.count[0] = len(colors)
    candidates.photo[0, : len(colors)] = np.arange(len(colors)) * 10
    candidates.quality[0, : len(colors)] = np.arange(len(colors)) + 1
    candidates.color[0, : len(colors)] = colors
    return candidates


def test_the_photo_with_a_passer_by_is_rejected() -> None:
    wall = [[200, 180, 150], [205, 178, 149], [198, 184, 155], [201, 181, 152]]
    candidates = _candidates([*wall[:2], [30, 40, 120], *wall[2:]])
    assert reject_outliers(candidates).tolist() == [1]
    assert candidates.photo[0, :4].tolist() == [0, 10, 30, 40]
    assert candidates.quality[0, :4].tolist() == [1, 2, 4, 5]


def test_changing_exposure_and_a_lone_pair_are_tolerated() -> None:
    exposures = _candidates([[round(base * gain) for base in (150, 120, 90)]
                             for gain in (0.7, 0.85, 1.0, 1.2, 1.4)])  # fmt: skip
    assert reject_outliers(exposures).tolist() == [0]
    pair = _candidates([[200, 200, 200], [10, 10, 10]])
    assert reject_outliers(pair).tolist() == [0]
