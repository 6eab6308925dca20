"""The method: summarizer and reward model trained together. `plus.train(...)` runs a whole training."""

from plus.doors import make_callable

make_callable(__name__)
