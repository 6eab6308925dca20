"""Checks of the summaries themselves: can others read them, what do they hold, and is it true?

*Portability*: accuracy with readers that were never fitted to these summaries: a reward model
trained on true personas, the reward model of another seed's run (cross-play), a zero-shot judge.
*Information*: accuracy of a reader fitted afresh to these very summaries. It learns a private code as
easily as words, so it bounds what the texts hold and is never a sign of portability.
*Faithfulness* (synthetic users): precision and recall of the traits claimed. The reward model plays no
part, since it can be right for the wrong words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from plus.evaluate.controls import other_users
from plus.evaluate.intervals import Interval, paired_difference, user_interval
from plus.evaluate.predictions import predict
from plus.types import Example, Preference, Scorer, UserHistory
from plus.worlds import pets, pets_ood, styles

_WORD = re.compile(r"\w+")
WORDS = 64  # of a text that the fresh reader looks at, so that long texts stay cheap
ROWS = 4000  # choices that it is fitted to
FEATURES, FACTOR = 2**18, 40_503  # columns that pairs of words are hashed into, and the factor that mixes them

Traits = set[tuple[str, str]]
# Synthetic data set -> (what a text claims, what a context reveals, what of it ought to be named).
KNOWN: dict[str, tuple[Callable[[str], Traits], Callable[[UserHistory], Traits], Callable[[UserHistory], Traits]]] = {
    "pets": (pets.claims, pets.traits, pets.favourite_of),
    "pets_ood": (pets_ood.claims, pets_ood.traits, pets_ood.favourite_of),
    "pets_ood_k2": (pets_ood.claims, pets_ood.traits, pets_ood.favourite_of),
    "styles": (styles.claims, styles.traits, styles.wanted),
    "styles_unlabelled": (styles.claims, styles.traits, styles.wanted),
}


class Reading(NamedTuple):
    """Accuracy of one reader with the user's own summaries and with another user's, and the paired difference."""

    own: Interval
    shuffled: Interval
    gain: Interval


class Information(NamedTuple):
    """`Reading` of a reader fitted afresh to `fitted_to` training choices."""

    own: Interval
    shuffled: Interval
    gain: Interval
    fitted_to: int


@dataclass(frozen=True)
class Faithfulness:
    """Traits in summaries. precision: claims that the context supports. recall: wanted traits that were claimed."""

    precision: float
    recall: float
    claimed: int
    wanted: int


def read(reader: Scorer, examples: Sequence[Example], summaries: Mapping[str, str]) -> Reading:
    """Measure a reader's accuracy with own and with another user's summaries."""
    own = predict("own", 0, reader, [summaries[e.history.user_id] for e in examples], examples)
    other = predict("shuffled", 0, reader, [summaries[user] for user in other_users(examples)], examples)
    return Reading(user_interval(own), user_interval(other), paired_difference(own, other))


class FreshReader:
    """`Scorer` fitted to these summaries alone: logistic regression on pairs of a summary's and an answer's word.

    There is no language model, so it knows no word beforehand, and what it finds is a lower bound of
    what the texts hold.
    """

    def __init__(self, texts: Sequence[str], pairs: Sequence[Preference]) -> None:
        """Fit to choices, each with the text about its user. Needs scikit-learn (the `train` extra)."""
        from scipy.sparse import vstack
        from sklearn.linear_model import LogisticRegression

        self._model = LogisticRegression(fit_intercept=False, max_iter=200)
        # Each choice in both orders, two balanced classes: swapped answers have the opposite features.
        features = self._features(texts[:ROWS], pairs[:ROWS])
        self._model.fit(vstack([features, -features]), [1] * features.shape[0] + [0] * features.shape[0])

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log P(chosen preferred to rejected | text)."""
        if not texts:
            return []
        found: list[float] = self._model.predict_log_proba(self._features(texts, pairs))[:, 1].tolist()
        return found

    def _features(self, texts: Sequence[str], pairs: Sequence[Preference]) -> Any:
        """Hash each choice's word pairs into a sparse row (B, FEATURES).

        A word of the text, or none, with a word that one answer alone has: +1 if the chosen one, -1 if not.
        """
        import numpy as np
        from scipy.sparse import csr_matrix

        about, sides = cache(_hashes), cache(_sides)  # Users have many choices, and answers many readers.
        columns, values, ends = [], [], [0]
        for text, pair in zip(texts, pairs, strict=True):
            words_T, (words_A, sign_A) = about(text), sides(pair)
            pairs_TA = (np.append(words_T, 0)[:, None] * FACTOR + words_A) % FEATURES
            columns.append(pairs_TA.ravel())
            values.append(np.broadcast_to(sign_A, pairs_TA.shape).ravel())
            ends.append(ends[-1] + pairs_TA.size)
        return csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=(len(texts), FEATURES))


def faithfulness(
    summaries: Mapping[str, str],
    histories: Iterable[UserHistory],
    claims: Callable[[str], Traits],
    supported: Callable[[UserHistory], Traits],
    wanted: Callable[[UserHistory], Traits],
) -> Faithfulness:
    """Compute precision and recall of the traits that summaries claim.

    `claims` parses a summary, `supported` says what a context reveals, `wanted` what of it a summary
    ought to name. A trait that the context did not reveal counts as false, however likely it is. With
    no claim at all precision is 0, not 1: silence is not faithful.
    """
    claimed = right = named = needed = 0
    for history in histories:
        found, true, should = claims(summaries[history.user_id]), supported(history), wanted(history)
        claimed, right = claimed + len(found), right + len(found & true)
        needed, named = needed + len(should), named + len(found & should)
    return Faithfulness(right / claimed if claimed else 0.0, named / needed if needed else 0.0, claimed, needed)


def _sides(pair: Preference) -> tuple[Any, Any]:
    """Hash the words that one answer alone has (A,), with +1 for the chosen answer's and -1 for the other's (A,)."""
    import numpy as np

    chosen, rejected = _hashes(pair.chosen), _hashes(pair.rejected)
    alone, other = np.setdiff1d(chosen, rejected), np.setdiff1d(rejected, chosen)
    return np.concatenate([alone, other]), np.repeat([1.0, -1.0], [len(alone), len(other)])


def _hashes(text: str) -> Any:
    """Hash the distinct words of a text's beginning to numbers below 2^32, (T,)."""
    import numpy as np

    words = set(_WORD.findall(text.lower())[:WORDS])
    return np.array(sorted(crc32(word.encode("utf-8", "surrogatepass")) for word in words), dtype=np.int64)
