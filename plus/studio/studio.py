"""Studio: what every page of one start shares, the store, the runs, the reward model and the secrets."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plus import recipes
from plus.errors import PlusError, missing_extra
from plus.progress import SILENT, Screen
from plus.serve.endpoint import shown_url
from plus.serve.requests import StoreFile
from plus.studio.access import Keys
from plus.types import Preference, Scorer

KEPT = 100  # receipts, and open questions of the blind comparison, in memory


@dataclass
class Served:
    """Model behind an address, for the blind comparison. dry_run: requests are shown and not sent."""

    base_url: str
    model: str
    dry_run: bool = False

    @property
    def shown_url(self) -> str:
        """The address, without a password that may stand in it."""
        return shown_url(self.base_url)


@dataclass
class Studio:
    """One start of the page.

    runs: run folders that were named. only: the number of the one person who is shown, or None for all. served: the
    model that answers in the blind comparison, if one was named.
    """

    profiles: StoreFile
    runs: tuple[Path, ...] = ()
    read_only: bool = False
    only: int | None = None
    served: Served | None = None
    reward_model: Scorer | None = None  # loaded when it is first asked
    keys: Keys = field(default_factory=Keys)
    receipts: OrderedDict[str, Mapping[str, Any]] = field(default_factory=OrderedDict)
    rounds: OrderedDict[str, Any] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def scorer(self) -> Scorer:
        """Return the reward model that says what sentences are worth. Raises PlusError where there is none."""
        with self._lock:
            if self.reward_model is None:
                try:
                    run = self.runs[0] if self.runs else None
                    self.reward_model = Locked(recipes.load_run(self.profiles.store, run)[0].reward_model)
                except ModuleNotFoundError as error:
                    raise missing_extra("worth", error) or error from None
            return self.reward_model

    def preload(self) -> None:
        """Load the reward model ahead of the first question; what is missing is said with its answer."""
        with suppress(PlusError, ModuleNotFoundError):
            self.scorer()

    def folders(self) -> dict[str, Path]:
        """Return the run folders that were named and those that the store knows, by a short name for addresses."""
        known = [*self.runs, *self.profiles.store.runs()]
        return {hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:10]: path for path in known}


class Locked:
    """Reward model that one thread reads with at a time."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._lock = scorer, threading.Lock()

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log P(chosen preferred to rejected | text), one a pair."""
        with self._lock:
            return self._scorer.log_likelihood(texts, pairs)


def remember(kept: OrderedDict[str, Any], name: str, value: Any) -> None:
    """Keep a value under a name, and let the oldest go."""
    kept[name] = value
    while len(kept) > KEPT:
        kept.popitem(last=False)


def open_profiles(store: str | Path | None, screen: Screen = SILENT) -> StoreFile:
    """Open the store that a path or an address means, made of a run folder's users if need be. Raises ProfileError."""
    recipes.open_store(store, screen=screen).close()
    return StoreFile(recipes.store_path(store))
