"""How fast is a large store? python scripts/measure_profiles.py STORE, made by scripts/make_profiles.py

Prints the library's `show`, exports to JSONL and Parquet (each in a process of its own, for its peak memory, beside
a plain reading of the same rows, since a busy machine's CPU seconds hold less), and the time a forget takes. Seconds
are of the CPU and, in brackets, of the clock.
"""

import argparse
import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from plus.profiles.export import export
from plus.profiles.forget import forget_user
from plus.profiles.store import Store


def show(store: Store, draws: int = 2000) -> dict[str, float]:
    """Milliseconds of `store.summary` for random users, warm."""
    users = list(store.users())
    chosen = random.Random(0).choices(users, k=draws)
    times = []
    for user_id in [*chosen[:200], *chosen]:
        started = time.perf_counter()
        store.summary(user_id)
        times.append(1000 * (time.perf_counter() - started))
    times = sorted(times[200:])
    return {"show_p50_ms": round(statistics.median(times), 3), "show_p99_ms": round(times[int(0.99 * draws)], 3)}


def plain_rate(path: Path) -> float:
    """Users a CPU second of a plain pipeline: select every current version, parse its JSON, write a line."""
    started, users = time.process_time(), 0
    join = "SELECT user_id, text, sentences, evidence FROM users JOIN versions ON user = users.number AND version = current"
    with closing(sqlite3.connect(path)) as db, tempfile.TemporaryFile("w") as file:
        for user_id, text, *lists in db.execute(f"{join} ORDER BY user_id"):
            file.write(json.dumps([user_id, text, *map(json.loads, lists)]) + "\n")
            users += 1
    return users / (time.process_time() - started)


def one_export(path: Path, form: str) -> dict[str, Any]:
    before = plain_rate(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, Store(path) as store:
        wall, cpu = time.perf_counter(), time.process_time()
        found = export(store, form, Path(folder) / "out")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"users": found.users, "users_per_cpu_second": round(found.users / cpu), "users_per_second": round(found.users / wall), "plain_users_per_cpu_second": round(min(before, plain_rate(path))), "bytes": found.bytes, "peak_MiB": peak}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--export", help="This format only.")
    args = parser.parse_args()
    if args.export:
        print(json.dumps(one_export(args.store, args.export)))
        return
    with Store(args.store) as store:
        print({"bytes": args.store.stat().st_size, **show(store)}, flush=True)
    for form in ("jsonl", "parquet"):
        done = subprocess.run([sys.executable, __file__, str(args.store), "--export", form], stdout=subprocess.PIPE, text=True, check=True)  # fmt: skip
        print(form, done.stdout.strip(), flush=True)
    with Store(args.store) as store:
        wall, cpu = time.perf_counter(), time.process_time()
        forget_user(store, next(store.users()))
        print(f"forget: {time.process_time() - cpu:.1f} s ({time.perf_counter() - wall:.1f} s)")


if __name__ == "__main__":
    main()
