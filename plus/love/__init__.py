"""P[Love]: the probability that a user loves an answer. `plus.love(...)` runs a whole job, `plus.Love` is the model."""

from plus.doors import make_callable

make_callable(__name__)
