"""Audit of a scorer: the controls that expose one which only seems personal. `plus.audit(...)` runs a whole audit."""

from plus.doors import make_callable

make_callable(__name__)
