"""Files as users write them."""

from pathlib import Path


def write_lines(folder: Path, *lines: str, name: str) -> Path:
    """A file of these lines."""
    (folder / name).write_text("\n".join([*lines, ""]))
    return folder / name
