"""The command line. `main` is the program; the commands load what they need when they run."""

from pipeline.cli.commands import main

__all__ = ["main"]
