"""How do costs grow with a store? python scripts/measure_growth.py FOLDER [--users 10000 100000 1000000]

Fills a store with users of 5 events and a summary each (rows as plus writes them, without its checks: only what is
measured takes its usual way), then imports 100,000 new profiles, shows users, lists three, and forgets 1,000 in one
command while another process adds an event at a time. Each step is a process of its own; seconds are of the CPU, in
brackets of the clock. The table is printed in Markdown.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from make_profiles import entries

from plus.cli.stores import print_rows
from plus.profiles import imports, schema, versions
from plus.profiles.forget import forget_users
from plus.profiles.rows import from_row
from plus.profiles.sentences import carry
from plus.profiles.store import Store
from plus.types import Entry, Event
from plus.worlds import pets

NEW, GONE, EVENTS = 100_000, 1_000, 5
COLUMNS = ("users", "MB", "import 100,000", "show ms", "list", "forget 1,000", "a writer waits", "MiB")


def text_of(number: int) -> str:
    rng = random.Random(number)
    topics = (pets.TOPIC_SUMMARY.format(topic=topic) for topic in rng.sample(pets.TOPICS, 3))
    return " ".join([pets.PERSONA.format(animal=rng.choice(pets.ANIMALS)), *topics])


def fill(path: Path, users: int) -> None:
    """Write rows of users, events and versions: a thousand different contents, and ids that are all different."""
    choices = [schema.encode_event(entry.event) for entry in entries(1000 // EVENTS, EVENTS)]
    texts = [version_row(number) for number in range(1000)]
    with Store(path) as store:
        store.file.connection.execute("PRAGMA synchronous = OFF")
        for start in range(0, users, 5000):
            numbers = range(start, min(users, start + 5000))
            places = [(n, place) for n in numbers for place in range(EVENTS)]
            with store.transaction() as connection:
                connection.executemany("INSERT INTO users(number, user_id, current, newest, next_sentence, last_event, read_upto) VALUES (?, ?, 1, 1, 5, ?, ?)", ((n + 1, f"user-{n:07}", (n + 1) * EVENTS, (n + 1) * EVENTS) for n in numbers))  # fmt: skip
                connection.executemany("INSERT INTO events(user, event_id, session_id, kind, time, source, content, held_out, likeness) VALUES (?, ?, ?, 'choice', ?, 'made', ?, 0, ?)", ((n + 1, f"{hash((n, place)) & (2**64 - 1):016x}", f"c{n}", float(place), choices[(n * 7 + place) % 1000], hash((place, n))) for n, place in places))  # fmt: skip
                connection.executemany(f"INSERT INTO versions(user, {versions.COLUMNS}, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ((n + 1, *texts[n % 1000]) for n in numbers))  # fmt: skip


def version_row(number: int) -> tuple:
    text = text_of(number)
    spans = versions.as_spans(carry(text, (), 1, "model", 1)[0])
    row = versions.to_row(versions.Version(f"user-{number:07}", 1, text, spans, "model", "made", "", 1.0))
    return *row, versions.chained("", row)


def bring_in(path: Path) -> dict:
    texts = [text_of(number) for number in range(1000)]
    rows = ({"user_id": f"new-{n:07}", "text": texts[n % 1000]} for n in range(NEW))
    with Store(path) as store:
        found = timed(lambda: imports.add(store, (from_row(row, "") for row in rows), imports.Imported()))
    return {"import 100,000": f"{found[0]:.1f} s ({found[1]:.0f} s)"}


def show(path: Path) -> dict:
    with Store(path) as store:
        users = [f"user-{random.Random(n).randrange(10_000):07}" for n in range(2000)]
        times = []
        for user in users:
            began = time.perf_counter()
            store.summary(user)
            times.append(1000 * (time.perf_counter() - began))
    return {"show ms": f"{statistics.median(times):.2f}, 99 %: {sorted(times)[-20]:.2f}"}


def write(path: Path) -> None:
    """Add an event at a time until stdin is closed, and print the longest wait."""
    longest = 0.0
    with Store(path) as store:
        print("ready", flush=True)
        import select

        while not select.select([sys.stdin], [], [], 0.02)[0]:
            began = time.monotonic()
            store.add_events([Entry("user-0000001", Event("", "message", f"at {began}"))])
            longest = max(longest, time.monotonic() - began)
    print(f"{longest:.2f}")


def go(path: Path) -> dict:
    names = [f"user-{number:07}" for number in random.Random(0).sample(range(2, 10_000), GONE)]
    writer = subprocess.Popen([sys.executable, __file__, str(path), "--step", "write"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert writer.stdout.readline() == "ready\n"
    with Store(path) as store:
        found: list = []
        cpu, wall = timed(lambda: found.extend(forget_users(store, names)[0]))
    waited = writer.communicate()[0].strip()
    assert len(found) == GONE and not any(one.found or not one.rewritten for one in found), found[0]
    return {"forget 1,000": f"{cpu:.1f} s ({wall:.0f} s)", "a writer waits": f"{waited} s"}


def timed(run: Callable) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def listed(path: Path) -> dict:
    command = [sys.executable, "-m", "plus", "profile", "list", "--limit", "3", "--json", "--store", str(path)]
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return {"list": f"{cpu:.2f} s ({time.perf_counter() - wall:.1f} s)"}


STEPS: dict[str, Callable] = {"import": bring_in, "show": show, "list": listed, "forget": go}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--users", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--step")
    args = parser.parse_args()
    if args.step == "write":
        write(args.path)
    elif args.step:
        found = STEPS[args.step](args.path)
        print(json.dumps({**found, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
    else:
        lines = []
        for users in args.users:
            path = args.path / f"{users}.db"
            if not path.exists():
                fill(path, users)
            row = {"users": f"{users:,}", "MB": f"{path.stat().st_size / 1e6:,.0f}", "MiB": 0}
            for step in STEPS:
                done = subprocess.run([sys.executable, __file__, str(path), "--step", step], stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
                found = json.loads(done.stdout)
                row |= {**found, "MiB": max(row["MiB"], found["MiB"])}
                print(row, file=sys.stderr, flush=True)
            lines.append({name: row[name] for name in COLUMNS})
        print_rows(lines, "md")


if __name__ == "__main__":
    main()
