"""Who else can read the summaries? Words can be read by anyone; a private code only by its inventors.

*Portability*: accuracy with readers that were never fitted to these summaries: a reward model
trained on true personas, the reward model of another seed's run (cross-play), a zero-shot judge.
*Information*: accuracy of a reader fitted afresh to these very summaries. It learns a code as easily
as words, so it is an upper line for what the texts hold and never a sign of portability.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from plus.evaluate.controls import strangers
from plus.evaluate.intervals import Interval, paired_difference, user_interval
from plus.evaluate.predictions import predict
from plus.types import Example, Preference, Scorer

_WORD = re.compile(r"\w+")
WORDS = 64  # of a text that the fresh reader looks at, so that long texts stay cheap
ROWS = 4000  # choices that it is fitted to


class Reading(NamedTuple):
    """What one reader makes of the summaries: accuracy with the user's own, with another user's, and the difference."""

    own: Interval
    shuffled: Interval
    gain: Interval


def read(reader: Scorer, examples: Sequence[Example], summaries: Mapping[str, str]) -> Reading:
    """The reader's accuracy with own and with another user's summaries."""
    own = predict("own", 0, reader, [summaries[e.history.user_id] for e in examples], examples)
    other = predict("shuffled", 0, reader, [summaries[user] for user in strangers(examples)], examples)
    return Reading(user_interval(own), user_interval(other), paired_difference(own, other))


class FreshReader:
    """A `Scorer` fitted to these summaries and nothing else: logistic regression on which word of the
    summary meets which word of the chosen answer and which of the rejected one. No language model,
    so it knows no word beforehand, and what it finds is a lower bound of what the texts hold."""

    def __init__(self, texts: Sequence[str], pairs: Sequence[Preference]) -> None:
        """Fit to choices, each with the text about its user. Needs scikit-learn (the `train` extra)."""
        from sklearn.feature_extraction import FeatureHasher
        from sklearn.linear_model import LogisticRegression

        rows = list(zip(texts, pairs, strict=True))[:ROWS]
        both = [*rows, *((text, pair.swapped()) for text, pair in rows)]  # each order: two balanced classes
        self._hasher = FeatureHasher(2**18, input_type="pair")
        self._model = LogisticRegression(fit_intercept=False, max_iter=200)
        self._model.fit(self._features(*zip(*both, strict=True)), [1] * len(rows) + [0] * len(rows))

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """log P(chosen preferred to rejected | text)."""
        return self._model.predict_log_proba(self._features(texts, pairs))[:, 1].tolist() if texts else []

    def _features(self, texts: Sequence[str], pairs: Sequence[Preference]):
        return self._hasher.transform(_meetings(text, pair) for text, pair in zip(texts, pairs, strict=True))


def _meetings(text: str, pair: Preference) -> list[tuple[str, float]]:
    """Each word of the text with each word that only one answer has: +1 if the chosen one, -1 if not."""
    said, chosen, rejected = (_words(t) for t in (text, pair.chosen, pair.rejected))
    sides = [(word, 1.0) for word in chosen - rejected] + [(word, -1.0) for word in rejected - chosen]
    return [(f"{about}|{word}", side) for about in ("", *said) for word, side in sides]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())[:WORDS])
