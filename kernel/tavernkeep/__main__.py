"""`python -m tavernkeep`."""

from tavernkeep.cli import main

main()
