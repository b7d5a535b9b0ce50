"""`python -m being_remote` is `being-remote`."""

from being_remote.cli import main

main()
