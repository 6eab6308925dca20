"""How fast is the page? python scripts/measure_studio.py RUN [--store LARGE]

Milliseconds from a request to its whole answer, in the process of the server, median and slowest of ten: the pages of a
finished run's person, and the list and its searches in a large store (scripts/measure_growth.py makes one of a million).
Models are loaded first, and each page is asked for once before, as after a start. Printed in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.studio_page import Page  # noqa: E402

from plus.studio.studio import Studio, open_profiles  # noqa: E402

TIMES = 10
# What is asked -> (method, address, fields, milliseconds that the issue allows).
OF_A_PERSON = {
    "a person's page": ("GET", "/u/{number}", {}, 200),
    "what each sentence is worth": ("GET", "/u/{number}/worth", {}, 1000),
    "why": ("GET", "/u/{number}/why/s1", {}, 1000),
    "history": ("GET", "/u/{number}/history", {}, 200),
}
OF_A_STORE = {
    "the first page": ("GET", "/users", {}, 300),
    "a person's page": ("GET", "/u/{number}", {}, 200),
    "search by the beginning of an id": ("POST", "/users", {"q": "user-07654"}, 100),
    "search by words that many have": ("POST", "/users", {"q": "cats"}, 100),
    "search by words that nobody has": ("POST", "/users", {"q": "zebras"}, 100),
    "a filter that few pass": ("POST", "/users", {"filter": "flagged"}, 100),
    "a page in the middle": ("POST", "/users", {"after": "500000"}, 100),
}


def measure(page: Page, asked: dict, number: int) -> list[tuple[str, float, float, int]]:
    """Median and slowest milliseconds of each request."""
    found = []
    for name, (method, address, fields, most) in asked.items():
        times = []
        for _ in range(TIMES + 1):
            data = {"form_token": page.token(), **fields} if method == "POST" else None
            began = time.perf_counter()
            answer = page.client.request(method, address.format(number=number), data=data)
            times.append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200, answer.text
        found.append((name, statistics.median(times[1:]), max(times[1:]), most))
    return found


def main() -> None:
    """Print the table; 1 where a median is slower than allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path)
    asked = parser.parse_args()
    studio = Studio(open_profiles(asked.run), (asked.run,))
    studio.scorer()
    store = studio.profiles.store
    best = max(store.users(), key=lambda user: len(store.events(user, held_out=True)))
    rows = [("the run's store", *row) for row in measure(Page(studio), OF_A_PERSON, store.user(best).number)]
    if asked.store:
        large = Studio(open_profiles(asked.store))
        users = large.profiles.store.number(large.profiles.store.sql.count_users)
        rows += [(f"{users:,} users", *row) for row in measure(Page(large), OF_A_STORE, users // 2)]
    print("| store | page | median, ms | slowest, ms | at most |\n|---|---|---|---|---|")
    for where, name, median, slowest, most in rows:
        print(f"| {where} | {name} | {median:.0f} | {slowest:.0f} | {most} |")
    sys.exit(any(median > most for _, _, median, _, most in rows))


if __name__ == "__main__":
    main()
