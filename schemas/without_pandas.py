"""pandera for polars, loaded as if pandas were not installed.

pandera loads pandas wherever it finds it, which takes each process half a second and 80 MB; none of our frames is one
of pandas. It is made to work without, and only looks while it is imported: whoever needs pandas can import it after.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["pandera_errors", "pandera_polars"]


class _NoPandas:
    """A finder that says of pandas what Python says of a package that is not installed."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib.abc.MetaPathFinder has it. Raises ModuleNotFoundError for pandas."""
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


# Where pandas is loaded already, pandera may as well know it.
with _hide_pandas():
    import pandera.errors as pandera_errors
    import pandera.polars as pandera_polars
