"""Signals: satisfaction or dissatisfaction in conversations; preference pairs. `plus.signals(...)` labels a file."""

from plus.doors import make_callable

make_callable(__name__)
