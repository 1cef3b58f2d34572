"""`python -m refute.cli`."""

from refute.cli import main

main()
