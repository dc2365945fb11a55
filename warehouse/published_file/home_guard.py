"""What keeps views over the lake's files from reading another home: each query of them looks where it is.

A published file that was copied, or the file of a copied home, still holds the paths of the lake that it was made from.
Its views would show that lake's rows, or fail with the path of a file that nobody knows. Therefore:

* Each view reads an empty selection of a file in the lake whose name is a sentence. Where the lake is not there, this
  is the first file that DuckDB misses, and the sentence stands in DuckDB's message.
* Each view compares the path of the file that was opened with the path that it was published at.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.common.files.atomic_files import replace_file
from warehouse.quoting import quote_text

FOLDER = "_home"
# No quotes and nothing that a pattern of paths could mean, because DuckDB takes the name for one.
MARKER = "The detail of this copy stays in the home where it was published - publish with --detail 31d to copy it too"
CONTENT = {"is_here": [True]}
CURE = "'sunledger publish --detail 31d' copies detail of the last days into the file"


@dataclass(frozen=True, slots=True)
class HomeGuard:
    """The file in the lake that every view looks for, and the paths at which the published file may be opened."""

    marker: str
    places: tuple[str, ...]

    @property
    def empty_source(self) -> str:
        """SQL of a source that has one row while the lake is where it was."""
        return f"read_parquet({quote_text(self.marker)})"

    @property
    def condition(self) -> str:
        """SQL that is true where the file is opened at its own path, and an error elsewhere."""
        places = ", ".join(map(quote_text, self.places))
        told = quote_text(
            f"The detail of this file is in the home of {self.places[0]}, and a copy of it was opened: open the file "
            f"at that path, or publish with the option --detail: {CURE}."
        )
        # An attached file has its own row here, whatever its name in the session.
        return (
            f"(SELECT CASE WHEN bool_or(path IN ({places})) THEN true ELSE CAST(error({told}) AS BOOLEAN) END "  # noqa: S608
            "FROM duckdb_databases())"
        )


def place_guard(lake: str, places: Iterable[Path]) -> HomeGuard:
    """Write the marker into the folder of a lake, if it is not there yet or can't be read. Raises OSError."""
    import polars as pl  # noqa: PLC0415 - who only reads the published file needs no frames

    marker = find_marker(lake)
    # Without it every view fails, and so does each publication that makes one.
    if not is_marker_whole(marker):
        marker.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(marker) as file:
            pl.DataFrame(CONTENT).write_parquet(file)
    return HomeGuard(str(marker), tuple(dict.fromkeys(map(str, places))))


def find_marker(lake: str) -> Path:
    """Where the marker of a lake in a folder lies."""
    return Path(lake) / FOLDER / f"{MARKER}.parquet"


def is_marker_whole(marker: Path) -> bool:
    """Whether the marker is there as it was written."""
    import polars as pl  # noqa: PLC0415 - who only reads the published file needs no frames

    try:
        return pl.read_parquet(marker, glob=False).equals(pl.DataFrame(CONTENT))
    except (OSError, pl.exceptions.PolarsError):
        return False


def is_refusal(message: str) -> bool:
    """Whether DuckDB's message says that a view was asked outside of its home."""
    return MARKER in message or CURE in message
