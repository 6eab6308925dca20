"""Response policy: answers that users like, under a monitor of reward hacking. `plus.policy(...)` runs a whole job."""

from plus.doors import make_callable

make_callable(__name__)
