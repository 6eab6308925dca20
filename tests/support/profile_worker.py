"""One process that changes a profile store until it is killed or its time is up: python profile_worker.py ...

Every line of its log is written after the store has acknowledged an operation ("done"), or before a forget
begins ("begin"). Each user's texts hold a token that nobody else's do, so that bytes on disk can be searched.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path

from plus.errors import ConflictError, ForgottenError, UnknownUserError
from plus.profiles.export import export
from plus.profiles.forget import forget_user
from plus.profiles.saving import save_model, save_user
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference


def token(user: str) -> str:
    """What stands in every text of this user only."""
    return f"tok{user}kot"


class Worker:
    def __init__(self, path: str, log: Path, seed: int, users: list[str], exports: Path | None) -> None:
        self.store, self.rng, self.users, self.exports = Store(path), random.Random(seed), users, exports
        self.log = log.open("a", encoding="utf-8", buffering=1)
        self.seed, self.count = seed, 0

    def say(self, **fields) -> None:
        self.log.write(json.dumps(fields) + "\n")

    def step(self, kinds: list[str]) -> None:
        self.count += 1
        kind = self.rng.choice(kinds)
        # The first half of the users is never forgotten: on a fast machine nobody would be left to lose anything.
        user = self.rng.choice(self.users[len(self.users) // 2 :] if kind == "forget" else self.users)
        with suppress(ForgottenError, UnknownUserError):  # Somebody else forgot this user: that is the right answer.
            getattr(self, kind)(user, f"{self.seed}x{self.count}")

    def ingest(self, user: str, name: str) -> None:
        events = [
            Event(f"e{name}-{n}", "choice", Preference("p", f"{token(user)} chosen {name} {n}",
                                                       "r" * self.rng.choice([5, 900, 5000])))
            for n in range(self.rng.choice([1, 5, 40]))
        ]  # fmt: skip
        added = self.store.add_events(Entry(user, event) for event in events)
        if added.added:
            assert added.added == len(events)
            self.say(done="ingest", user=user, events=[event.id for event in events])

    def edit(self, user: str, name: str) -> None:
        """Adds a sentence to whatever is there; a conflict is answered by looking again."""
        while True:
            try:
                current = self.store.current(user)
            except UnknownUserError:
                current = None
            text = f"{current.text} " if current else ""
            try:
                save_user(self.store, user, f"{text}{token(user)} said {name}.", current.version if current else 0)
            except ConflictError:
                continue
            self.say(done="edit", user=user, sentence=f"said {name}.")
            return

    def summarize(self, user: str, name: str) -> None:
        """Reads, dawdles, writes: the job that a forget in between must stop."""
        reading = self.store.read(user)
        time.sleep(self.rng.random() * 0.05)
        version, _ = save_model(self.store, reading, f"{token(user)} modelled {name}.")
        self.say(done="summarize", user=user, version=version.version)

    def export(self, user: str, name: str) -> None:
        assert self.exports is not None
        export(self.store, "jsonl", self.exports / f"{name}.jsonl")
        self.say(done="export", file=f"{name}.jsonl")

    def forget(self, user: str, name: str) -> None:
        self.say(begin="forget", user=user)
        receipt = forget_user(self.store, user)
        assert receipt.rewritten
        assert not receipt.found, receipt.found
        self.say(done="forget", user=user)


def main() -> None:
    path, log, seed, seconds, users, kinds, exports = sys.argv[1:8]
    worker = Worker(path, Path(log), int(seed), users.split(","), Path(exports) if exports else None)
    print("ready", os.getpid(), flush=True)
    if kinds == "steps":  # A number of edits and updates, and no time.
        for number in range(int(float(seconds))):
            worker.step(["edit" if number % 2 else "summarize"])
        worker.store.close()
        return
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        worker.step(kinds.split(","))
    worker.store.close()


if __name__ == "__main__":
    main()
