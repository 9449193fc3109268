"""`python -m snsearch`: the command line."""

from snsearch.cli import main

main()
