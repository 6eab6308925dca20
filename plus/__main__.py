"""`python -m plus` is `plus`."""

from plus.cli.main import main

main()
