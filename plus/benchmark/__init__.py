"""Benchmarks: every method on one data set, and worlds to test policies in. `plus.benchmark(...)` runs a whole one."""

from plus.doors import make_callable

make_callable(__name__)
