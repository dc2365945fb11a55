"""The command line. `main` is the program; the commands load what they need when they run."""

__all__ = ["main"]


def main() -> None:
    """Run the program and leave with its exit code."""
    from pipeline.common.signals import SIGNALS  # noqa: PLC0415 - the rest takes long to load, and can be interrupted

    SIGNALS.install()
    from pipeline.cli.end import run_to_end  # noqa: PLC0415

    run_to_end()
