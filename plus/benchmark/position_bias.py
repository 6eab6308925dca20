"""Do people take what stands first, whatever it says? A habit of the rater is no taste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scipy.stats import binomtest

from plus.evaluate.intervals import interval

HABIT = "position habit"  # how the line begins
LEAST, LEVEL = 20, 0.01  # choices that a rater must have made, and the level of each one's test


def habit(first: Mapping[str, Sequence[bool]]) -> str:
    """One line: the share of choices that took what stood first, with its interval over raters, and how many
    raters lean to one side (two-sided binomial tests, none corrected: some do so by chance)."""
    share = interval((0, user, float(took)) for user, all_of in first.items() for took in all_of)
    tested = [all_of for all_of in first.values() if len(all_of) >= LEAST]
    leaning = sum(binomtest(sum(all_of), len(all_of)).pvalue < LEVEL for all_of in tested)
    return (
        f"{HABIT}: raters took what stood first in {share.mean:.3f} [{share.low:.3f}, {share.high:.3f}] of {share.targets:,} choices; "
        f"{leaning} of {len(tested):,} raters with {LEAST} or more lean to one side at the {LEVEL:.0%} level (by chance {LEVEL * len(tested):.1f})"
    )
