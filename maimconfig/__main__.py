"""`python -m maimconfig` is the `maimconfig` command."""

from maimconfig.cli import main

main()
