"""Measures of predictions, with intervals and denominators. `plus.evaluate(run)` evaluates a whole run."""

from plus.doors import make_callable

make_callable(__name__)
