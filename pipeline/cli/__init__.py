"""The command line. `main` is the program; the commands load what they need when they run."""

__all__ = ["main"]


def main() -> None:
    """Run the program and leave with its exit code."""
    from pipeline.common.standard_streams import open_missing_streams

    # What is opened from here on must not take their numbers.
    open_missing_streams()
    from pipeline.common.garbage import hold_collection

    hold_collection()
    # The rest takes long to load, and can be interrupted.
    from pipeline.common.signals import SIGNALS, Interruption, leave_at_once

    try:
        SIGNALS.install()
        from pipeline.cli.end import run_to_end
    except Interruption as stopped:
        leave_at_once(stopped.number)
    run_to_end()
