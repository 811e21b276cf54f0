"""`python -m pipeline`: the `cascade` command."""

from pipeline.cli import main

main()
