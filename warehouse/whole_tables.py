"""The small tables that are replaced whole, kept as they were read: every step of every day asks for them."""

from collections.abc import Callable

import polars as pl

from schemas import Table

# Of all kept rows of a table.
KEPT_BYTES = 16 * 2**20


class WholeTables:
    """The rows of each table at the version that was asked for last, while they are small."""

    def __init__(self) -> None:
        # The files of a version are never written again, so their names stand for its rows.
        self._kept: dict[type[Table], tuple[tuple[str, ...], pl.DataFrame]] = {}
        self._too_large: set[type[Table]] = set()

    def scan(
        self, model: type[Table], files: tuple[str, ...], scan: Callable[[], pl.LazyFrame]
    ) -> pl.LazyFrame:
        """The rows of these files, by `scan` where they are new or too many to be kept."""
        kept = self._keep(model, files, scan)
        return scan() if kept is None else kept.lazy()

    def read(
        self, model: type[Table], files: tuple[str, ...], scan: Callable[[], pl.LazyFrame]
    ) -> pl.DataFrame:
        """The same in memory: without a query, which costs more than the rows of a small fleet."""
        kept = self._keep(model, files, scan)
        return scan().collect() if kept is None else kept.clone()

    def _keep(
        self, model: type[Table], files: tuple[str, ...], scan: Callable[[], pl.LazyFrame]
    ) -> pl.DataFrame | None:
        """The kept rows; None where they are too many.

        A table that was too large once is not read whole again to find that out.
        """
        if model in self._too_large:
            return None
        known = self._kept.get(model)
        if known is None or known[0] != files:
            rows = scan().collect()
            if rows.estimated_size() > KEPT_BYTES:
                self._too_large.add(model)
                self._kept.pop(model, None)
                return None
            known = self._kept[model] = files, rows
        return known[1]
