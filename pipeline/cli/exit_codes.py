"""The exit codes of the program; 2, wrong usage, is typer's own."""

DONE, FAILED, IN_PART = 0, 1, 3
