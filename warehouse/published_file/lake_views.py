"""The views of the published file that read files of the lake: of detail that is not copied into it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from schemas import Table, storage
from warehouse.ddl import create_file_view
from warehouse.published_file.home_guard import HomeGuard
from warehouse.published_file.publication_base import Footers


@dataclass(frozen=True, slots=True)
class LakeViews:
    """The files of each view by their columns, and the guard against their use in another place."""

    footers: Mapping[type[Table], Footers]
    guard: HomeGuard | None

    @classmethod
    def of(
        cls,
        files: Mapping[type[Table], Sequence[str]],
        known: Mapping[str, Footers],
        guard: HomeGuard | None,
    ) -> "LakeViews":
        """The views over these files. Those that are `known`, by table, are not opened again."""
        return cls(
            {
                model: _read_footers(paths, known.get(storage(model).table, {}))
                for model, paths in files.items()
            },
            guard,
        )

    def write(self, models: Iterable[type[Table]], *, guarded: bool = True) -> str:
        """SQL that adds or replaces the views of these models; of one that is replaced no comment is left."""
        guard = self.guard if guarded else None
        statements = []
        for model in models:
            files = [list(of) for of in self.footers[model].values()]
            source, condition = (guard.empty_source, guard.condition) if guard and files else ("", "")
            statements.append(create_file_view(model, files, source=source, condition=condition))
        return ";\n".join(statements)


def _read_footers(files: Sequence[str], known: Footers) -> Footers:
    """The files by the columns that they have, with their rows; a file that is known is not opened again."""
    seen = {file: (names, rows) for names, of in known.items() for file, rows in of.items()}
    found: Footers = {}
    for file in files:
        if file not in seen:
            footer = pq.read_metadata(file)
            seen[file] = (",".join(footer.schema.names), footer.num_rows)
        names, rows = seen[file]
        found.setdefault(names, {})[file] = rows
    return found
