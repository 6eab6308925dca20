"""Language models and reward models as judges. `plus.judge(...)` judges the users of a profile store."""

from plus.doors import make_callable

make_callable(__name__)
