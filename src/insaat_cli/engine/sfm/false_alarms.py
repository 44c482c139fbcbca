"""Whether two photos match by chance alone.

The number of false alarms of Moisan and Stival ("A probabilistic criterion to detect rigid point
matches between two images and estimate the fundamental matrix", IJCV 2004): how often a fundamental
matrix is expected that so many of so many random matches obey. Of 40 random matches it takes 16,
of which 7 determine the matrix; a fixed least number of matches tells nothing.
"""

from __future__ import annotations

from math import comb, log10

SAMPLE = 7
"""Matches that determine a fundamental matrix."""
SOLUTIONS = 3
MAX_LOG10_ALARMS = -2.0


def log10_false_alarms(matches: int, inliers: int, *, chance: float) -> float:
    """Decimal logarithm of the number of false alarms; below 0 is no false alarm.

    `chance`: probability that a random match obeys a given matrix.
    """
    if inliers <= SAMPLE:
        return float("inf")
    tests = SOLUTIONS * (matches - SAMPLE) * comb(matches, inliers) * comb(inliers, SAMPLE)
    return log10(tests) + (inliers - SAMPLE) * log10(chance)


def chance_on_line(longest_side: int, error_px: float) -> float:
    """Probability that a random point of a 4:3 picture lies within `error_px` of a line.

    Of the longest line, the diagonal.
    """
    return min(1.0, 2 * error_px * 1.25 / (0.75 * longest_side))


def is_false_alarm(matches: int, inliers: int, *, longest_side: int, error_px: float) -> bool:
    """Whether `inliers` of `matches` within `error_px` of epipolar lines say nothing."""
    chance = chance_on_line(longest_side, error_px)
    return log10_false_alarms(matches, inliers, chance=chance) > MAX_LOG10_ALARMS
