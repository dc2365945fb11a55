"""pandera for polars and Arrow's datasets, loaded as if pandas were not installed.

Both import pandas wherever it is installed, which costs each process half a second and 80 MB, and sunledger uses no
frame of pandas. Both also work without pandas and look for it only while they are imported themselves, so a program
that needs pandas can still import it afterwards. DuckDB imports Arrow's datasets when it is given a table of Arrow.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["pandera_errors", "pandera_polars"]


class _NoPandas:
    """A finder that reports pandas as a package that is not installed."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Implements importlib.abc.MetaPathFinder. Raises ModuleNotFoundError for pandas."""
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)
        return None


@contextmanager
def _hide_pandas() -> Iterator[None]:
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


# Where pandas is loaded already, this has no effect, and both use it.
with _hide_pandas():
    import pandera.errors as pandera_errors
    import pandera.polars as pandera_polars
    import pyarrow.dataset as _  # noqa: F401
